"""The base class of every error that a person can resolve.

PfoError
├── ConfigError            errors.py: the configuration file, all mistakes at once
├── SecretError            errors.py: a secret reference that does not resolve
├── PowensError …          powens/errors.py: errors from Powens
├── LedgerError …          ledger/errors.py: busy, damaged, newer, full, foreign, key refused
├── Export…                ledger/export.py: what cannot be exported, or a folder that cannot be used
├── NotConnected           operations/onboarding.py: a user has no token, or came back without a bank
├── InboxError             webhooks/inbox.py: posts cannot be stored
├── RatesError             report/: a file of exchange rates that cannot be used
├── MomentRefused          report/: a date or time for which no page can be made
└── OperationRefused …     operations/access.py: role, integration slot, capability

Each message names the thing, the reason and the remedy, and contains no secret and no personal data. The command line
prints it without a traceback.
"""


class PfoError(Exception):
    """A mistake or a state that a person can resolve; `str(error)` says how."""


class ConfigError(PfoError):
    """The configuration cannot be used; the message lists every mistake by its key."""


class SecretError(PfoError):
    """A secret reference does not resolve; the message names the key and the reference, never the value."""
