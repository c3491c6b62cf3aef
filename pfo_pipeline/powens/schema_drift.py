"""Undocumented fields and values of Powens: accept, count and report them.

Facts: Powens docs (Connections, Bank accounts, Bank account types), official SDK specification, and extra fields that several
clients report.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pfo_pipeline.contracts.tables import QuarantineRow
from pfo_pipeline.powens.models import Account, Connection, Misfit, Wire
from pfo_pipeline.powens.states import KNOWN_STATES
from pfo_pipeline.redaction import word

_CONNECTION_EXTRAS = frozenset(
    "id_user id_connector id_provider id_bank error error_message fields last_push expire_date accounts "
    "subscriptions all_accounts".split()
)
_ACCOUNT_EXTRAS = frozenset(
    "id_user display id_type bookmarked company_name loan webid formatted_balance information opening_date "
    "valuation diff diff_percent prev_diff prev_diff_percent calculated".split()
)
_SOURCE_EXTRAS = frozenset("id id_connection id_connector_source id_weboob_module created expire error_message".split())
_CONNECTOR_EXTRAS = frozenset(
    "id hidden charged code beta color slug sync_frequency sync_periodicity months_to_fetch auth_mechanism "
    "available_auth_mechanisms transfer_mechanism siret restricted capabilities account_usages account_types products "
    "payment_settings stability categories sources fields payment_fields countries urls available_transfer_mechanisms "
    "transfer_beneficiary_types transfer_execution_date_types documents_type".split()
)
_CURRENCY_EXTRAS = frozenset("name symbol precision crypto prefix marketcap datetime".split())
KNOWN_ACCOUNT_TYPES = frozenset(
    "article83 capitalisation card cat cel checking consumercredit crowdlending csl deposit joint ldds lep lifeinsurance "
    "livret_a livret_b loan madelin market mortgage pea pee pel per perco perp real_estate revolvingcredit rsp savings "
    "unknown".split()
)
_KNOWN_USAGES = frozenset({"PRIV", "ORGA", "ASSO"})
_KNOWN_OWNERSHIPS = frozenset({"owner", "co-owner", "attorney"})

NO_DATE = "(no date)"
NO_AMOUNT = "(no amount)"
NO_TEXT = "(no text)"
NO_FLAG = "(neither true nor false)"
_INFORMING = ("bic", "name", "original_name", "usage", "ownership", "error")
DOES_NOT_FIT = "(does not fit)"
FAR_AHEAD = timedelta(hours=1)
"""Normal clock differences are smaller than this."""
Drift = tuple[str, str]
"""(where, the unknown enum value; empty if the field itself is unknown)."""


def does_not_add_up(what: str) -> Drift:
    """Drift of a list whose `total`, read twice, differs from the number of its records."""
    return f"{what}.total", "differs"


def connection_drift(connection: Connection) -> set[Drift]:
    found = _unknown_fields("connection", connection, _CONNECTION_EXTRAS)
    found |= _unknown_fields("connector", connection.connector, _CONNECTOR_EXTRAS)
    states = [connection.state]
    for source in connection.sources or ():
        found |= _unknown_fields("source", source, _SOURCE_EXTRAS)
        states.append(source.state)
    return found | _unknown_values("connection.state", states, KNOWN_STATES)


def account_drift(account: Account) -> set[Drift]:
    return (
        _unknown_fields("account", account, _ACCOUNT_EXTRAS)
        | _unknown_fields("currency", account.currency, _CURRENCY_EXTRAS)
        | _unknown_values("account.type", [account.type], KNOWN_ACCOUNT_TYPES)
        | _unknown_values("account.error", [account.error], KNOWN_STATES)
        | _unknown_values("account.usage", [account.usage], _KNOWN_USAGES)
        | _unknown_values("account.ownership", [account.ownership], _KNOWN_OWNERSHIPS)
    )


def unread_fields(record: Connection | Account, raw: Mapping[str, Any]) -> set[Drift]:
    """Dates, amounts, texts and flags that Powens sent but that cannot be read; the record is kept without them."""
    if isinstance(record, Account):
        since = {"disabled": record.disabled, "deleted": record.deleted}
        dates = {(f"account.{name}", NO_DATE) for name, fact in since.items() if fact and fact.at is None}
        announced = [n for n in ("coming", "coming_balance") if raw.get(n) is not None and getattr(record, n) is None]
        texts = [n for n in _INFORMING if raw.get(n) is not None and getattr(record, n) is None]
        dates |= {(f"account.{name}", NO_TEXT) for name in texts}
        misfit = {("account.balance", DOES_NOT_FIT)} if isinstance(record.balance, Misfit) else set()
        return dates | {(f"account.{name}", NO_AMOUNT) for name in announced} | misfit
    parts: list[tuple[str, Wire, Mapping[str, Any], tuple[str, ...]]] = [
        ("connection", record, raw, ("created", "last_update", "next_try", "expire"))
    ]
    sources = zip(record.sources or (), raw.get("sources") or (), strict=True)
    parts += [
        ("source", source, record_of, ("last_update", "next_try", "access_expire")) for source, record_of in sources
    ]
    dates = {
        (f"{what}.{name}", NO_DATE)
        for what, read, from_raw, names in parts
        for name in names
        if from_raw.get(name) is not None and getattr(read, name) is None
    }
    flags = {("connection.active", NO_FLAG)} if raw.get("active") is not None and record.active is None else set()
    return dates | flags


def dated_ahead(accounts: Iterable[Account], now: datetime) -> dict[Drift, int]:
    """Number of balances dated further ahead than clocks differ. Each counts from the time when it was read."""
    count = sum(a.last_update is not None and a.last_update > now + FAR_AHEAD for a in accounts)
    return {("account.last_update", "(ahead)"): count} if count else {}


def misfits(what: str, put_aside: QuarantineRow) -> set[Drift]:
    """The fields for which a record was quarantined; each is reported once, for any number of records."""
    return {(f"{what}.{reason.partition(':')[0]}", DOES_NOT_FIT) for reason in put_aside.reason.split("; ")}


def _unknown_fields(what: str, record: Wire | None, extras: frozenset[str]) -> set[Drift]:
    found = (record.model_extra if record else None) or {}
    return {(f"{what}.{word(name)}", "") for name in found if name not in extras}


def _unknown_values(where: str, values: Iterable[str | None], known: frozenset[str]) -> set[Drift]:
    return {(where, word(value)) for value in values if value is not None and value not in known}
