"""The base of every error that a person can do something about.

PfoError
├── ConfigError            config/: the configuration file, all mistakes at once
├── SecretError            config/: a secret reference that does not resolve
├── PowensError …          powens/errors.py: what the bank's aggregator answered
├── LedgerError …          ledger/errors.py: busy, damaged, newer, full, foreign, key refused
├── Export…                ledger/export_folder.py: what cannot be exported, or not to there
├── NotConnected           operations/onboarding.py: a member has no token, or came back without a bank
├── InboxError             webhooks/inbox.py: posts cannot be kept
├── RatesError             report/: a file of exchange rates that cannot be used
├── MomentRefused          report/: a moment that no page can be of
└── OperationRefused …     operations/guards.py: role, integration slot, capability

Each message names the thing, the reason and the remedy, and holds no secret and no personal data. The command line
prints it without a traceback.
"""


class PfoError(Exception):
    """A mistake or a state that someone can mend; `str(error)` says how."""
