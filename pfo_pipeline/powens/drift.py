"""What Powens sends that no documentation knows: found here, accepted everywhere.

Facts: Powens docs (Connections, Bank accounts, Bank account types), official SDK specification, and the live-only extras
that several clients report.
"""

from collections.abc import Iterable

from pfo_pipeline.contracts.privacy import word
from pfo_pipeline.powens.states import KNOWN_STATES
from pfo_pipeline.powens.wire import Account, Connection, Wire

_CONNECTION_EXTRAS = frozenset(
    "id_user id_connector id_provider id_bank error error_message fields last_push expire_date accounts "
    "subscriptions all_accounts".split()
)
_ACCOUNT_EXTRAS = frozenset(
    "id_user id_source display id_type bookmarked company_name loan webid formatted_balance information opening_date "
    "valuation diff diff_percent prev_diff prev_diff_percent calculated".split()
)
KNOWN_ACCOUNT_TYPES = frozenset(
    "article83 capitalisation card cat cel checking consumercredit crowdlending csl deposit joint ldds lep lifeinsurance "
    "livret_a livret_b loan madelin market mortgage pea pee pel per perco perp real_estate revolvingcredit rsp savings "
    "unknown".split()
)
_KNOWN_USAGES = frozenset({"PRIV", "ORGA", "ASSO"})
_KNOWN_OWNERSHIPS = frozenset({"owner", "co-owner", "attorney"})

Drift = tuple[str, str]
"""(where, the unknown enum value; empty when the field itself is unknown)."""


def does_not_add_up(what: str) -> Drift:
    """A list whose `total`, read twice, is not the number of its records."""
    return f"{what}.total", "differs"


def connection_drift(connection: Connection) -> set[Drift]:
    found = _unknown_fields("connection", connection, _CONNECTION_EXTRAS)
    states = [connection.state, *(source.state for source in connection.sources or ())]
    return found | _unknown_values("connection.state", states, KNOWN_STATES)


def account_drift(account: Account) -> set[Drift]:
    return (
        _unknown_fields("account", account, _ACCOUNT_EXTRAS)
        | _unknown_values("account.type", [account.type], KNOWN_ACCOUNT_TYPES)
        | _unknown_values("account.error", [account.error], KNOWN_STATES)
        | _unknown_values("account.usage", [account.usage], _KNOWN_USAGES)
        | _unknown_values("account.ownership", [account.ownership], _KNOWN_OWNERSHIPS)
    )


def _unknown_fields(what: str, record: Wire, extras: frozenset[str]) -> set[Drift]:
    return {(f"{what}.{word(name)}", "") for name in record.model_extra or {} if name not in extras}


def _unknown_values(where: str, values: Iterable[str | None], known: frozenset[str]) -> set[Drift]:
    return {(where, word(value)) for value in values if value is not None and value not in known}
