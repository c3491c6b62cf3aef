"""Opens connections and accounts, and gives the same bank accounts new Powens ids.

Account numbers have the bank code 99999, which no bank has, and valid check digits.
Facts: Powens docs, Connections: a bank that is added again gets new ids, and a newly found account is disabled. Seen live:
an account of a repaired connection came back disabled under a new id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from pfo_pipeline.simulator import webhook_events
from pfo_pipeline.simulator.catalogue import CatalogueConnector
from pfo_pipeline.simulator.dice import pick
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paris_time import last_daily, next_daily, paris_day
from pfo_pipeline.simulator.state import Domain, World, WorldAccount, WorldConnection, WorldSource, WorldUser
from pfo_pipeline.simulator.sync_engine import CONSENT, default_swing
from pfo_pipeline.simulator.truth import note_figure

BANK_CODE = "99999"
LOAN_FIELDS = (
    "total_amount",
    "available_amount",
    "used_amount",
    "subscription_date",
    "maturity_date",
    "start_repayment_date",
    "deferred",
    "next_payment_amount",
    "next_payment_date",
    "rate",
    "nb_payments_left",
    "nb_payments_done",
    "nb_payments_total",
    "last_payment_amount",
    "last_payment_date",
    "account_label",
    "insurance_label",
    "insurance_amount",
    "insurance_rate",
    "duration",
    "type",
)


@dataclass(frozen=True)
class AccountDraft:
    """Properties of an account before it exists. `parent` is the position of another draft."""

    type: str
    name: str
    balance: Decimal | None
    currency: str | None = "EUR"
    coming: Decimal | None = None
    disabled: bool = False
    deleted_days_ago: int | None = None
    has_iban: bool = False
    parent: int | None = None
    moves: bool = True
    numbers_as_strings: bool = False
    fields: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def open_connection(
    world: World, domain: Domain, user: WorldUser, connector: CatalogueConnector, *, created: datetime
) -> WorldConnection:
    """Create a healthy connection without accounts, whose last daily sync is in the past."""
    now = world.clock.now()
    connection_id = domain.next_id("connection")
    sync_time = _sync_time(world, domain, connection_id)
    synced = last_daily(sync_time, now)
    connection = WorldConnection(
        id=connection_id,
        id_user=user.id,
        connector=connector,
        created=created,
        sync_time=sync_time,
        last_update=synced,
        next_try=next_daily(sync_time, now),
        expire=_consent_end(created, now),
        last_push=synced + timedelta(seconds=7),
    )
    connection.sources = [
        WorldSource(
            id=domain.next_id("source"),
            id_connector_source=domain.source_id(connector, position),
            name=name,
            created=created,
            last_update=synced,
            expire=connection.expire,
            next_try=connection.next_try,
        )
        for position, name in enumerate(connector.source_names)
    ]
    domain.connections[connection.id] = connection
    return connection


def open_account(
    world: World, domain: Domain, connection: WorldConnection, draft: AccountDraft, *, since: datetime
) -> WorldAccount:
    """Create an account with the draft's balance at `since`; each later sync has moved the balance."""
    account_id = domain.next_id("account")
    now = world.clock.now()
    number, iban = _identifiers(domain, account_id, connection.connector, draft)
    known = not draft.disabled
    account = WorldAccount(
        id=account_id,
        id_connection=connection.id,
        id_user=connection.id_user,
        id_source=connection.sources[0].id if connection.sources else None,
        type=draft.type,
        currency=draft.currency,
        balance=draft.balance,
        coming=draft.coming,
        last_update=_just_before(connection.last_update) if known else None,
        moved_to=paris_day(since),
        swing=default_swing(draft.type, draft.balance) if draft.moves else Decimal(0),
        known=known,
        disabled=connection.created + timedelta(seconds=75) if draft.disabled else None,
        numbers_as_strings=draft.numbers_as_strings,
        fields={
            "number": number,
            "webid": number,
            "original_name": draft.name.upper(),
            "name": draft.name,
            "iban": iban,
            "bic": connection.connector.bic if iban else None,
            **draft.fields,
        },
    )
    if draft.deleted_days_ago is not None:
        gone = last_daily(connection.sync_time, now) - timedelta(days=draft.deleted_days_ago)
        account.deleted = gone
        account.last_update = gone - timedelta(days=1)
    domain.accounts[account.id] = account
    return account


def open_accounts(
    world: World, domain: Domain, connection: WorldConnection, drafts: list[AccountDraft], *, since: datetime
) -> list[WorldAccount]:
    """Create accounts in the order of the drafts, with cards linked to their parents."""
    accounts = [open_account(world, domain, connection, draft, since=since) for draft in drafts]
    for account, draft in zip(accounts, drafts, strict=True):
        if draft.parent is not None:
            account.fields["id_parent"] = accounts[draft.parent].id
    return accounts


def discoveries(world: World, domain: Domain, connection: WorldConnection) -> list[AccountDraft]:
    """The accounts that a new test connection finds; they stay disabled until the user enables them."""

    def amount(label: str, low: int, high: int) -> Decimal:
        return Decimal(pick(low, high, world.seed, domain.name, connection.id, label)).scaleb(-2)

    return [
        AccountDraft("checking", "Compte chèque", amount("checking", 20_000, 900_000), has_iban=True, disabled=True),
        AccountDraft("livret_a", "Livret A", amount("livret", 100_000, 2_295_000), disabled=True),
        AccountDraft("card", "Carte", Decimal(0), coming=-amount("card", 100, 90_000), parent=0, disabled=True),
    ]


def french_iban(account_number: int) -> str:
    """A French IBAN at the fictitious bank 99999, with valid key and check digits."""
    branch, number = "00082", f"{account_number:011d}"
    key = 97 - (89 * int(BANK_CODE) + 15 * int(branch) + 3 * int(number)) % 97
    return _with_check_digits("FR", f"{BANK_CODE}{branch}{number}{key:02d}")


def swiss_iban(account_number: int) -> str:
    """A Swiss IBAN at the fictitious bank 99999, with valid check digits."""
    return _with_check_digits("CH", f"{BANK_CODE}{account_number:012d}")


def loan_object(**known: object) -> JsonObject:
    """A Loan object; missing fields are null."""
    return {name: known.get(name) for name in LOAN_FIELDS}


def _with_check_digits(country: str, bban: str) -> str:
    digits = "".join(str(int(character, 36)) for character in f"{bban}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


def _identifiers(
    domain: Domain, account_id: int, connector: CatalogueConnector, draft: AccountDraft
) -> tuple[str, str | None]:
    # Ids repeat in other domains, but account numbers of different people do not.
    serial = pick(10**9, 10**10 - 1, "account number", domain.name, account_id)
    if draft.type == "card":
        return f"4970XXXXXXXX{serial % 10_000:04d}", None
    if not draft.has_iban:
        return f"{serial:017d}", None
    iban = swiss_iban(serial) if connector.country == "ch" else french_iban(serial)
    return iban[4:], iban


def _sync_time(world: World, domain: Domain, connection_id: int) -> time:
    # From half past three, so that no clock change coincides with it.
    minute = pick(210, 450, "sync time", world.seed, domain.name, connection_id)
    return time(minute // 60, minute % 60, pick(0, 59, "sync second", world.seed, domain.name, connection_id))


def _consent_end(created: datetime, now: datetime) -> datetime:
    """180 days after the last consent, which a careful user renews every 160 days."""
    renewals = max(0, (now - created) // timedelta(days=160))
    return created + timedelta(days=160) * renewals + CONSENT


def _just_before(moment: datetime | None) -> datetime | None:
    return moment - timedelta(seconds=1) if moment else None


Numbers = Literal["same", "reformatted", "absent"]


@dataclass(frozen=True)
class Manner:
    """How an account returns.

    Args:
        numbers: Whether IBAN and number are the same as before, in groups with spaces, or absent.
        disabled: Whether it must be enabled again.
        erased: Whether the old record is removed completely, instead of marked as deleted.
        source: Name of the source that finds it, default the first enabled one.
    """

    numbers: Numbers = "same"
    disabled: bool = True
    erased: bool = False
    source: str | None = None


def renumber_connection(
    world: World, domain: Domain, connection: WorldConnection, manner: Manner
) -> tuple[WorldConnection, dict[int, int]]:
    """Remove the bank and add it again. Returns the new connection, and the accounts' new ids by the old ones."""
    now = world.clock.now()
    user = domain.users[connection.id_user]
    accounts = domain.accounts_of(user.id, connection.id)
    webhook_events.connection_deleted(domain, connection, now)
    domain.erase_connection(connection.id, now)
    again = open_connection(world, domain, user, connection.connector, created=now)
    made = {account.id: _again(domain, account, again, manner, now) for account in accounts if account.deleted is None}
    _tie_parents(made)
    return again, {old: account.id for old, account in made.items()}


def renumber_accounts(world: World, domain: Domain, accounts: list[WorldAccount], manner: Manner) -> list[WorldAccount]:
    """Give accounts new records in their connection, as after a repair or through another source."""
    now = world.clock.now()
    made = {}
    for account in accounts:
        made[account.id] = _again(domain, account, domain.connections[account.id_connection], manner, now)
        if manner.erased:
            domain.erase_account(account.id, now)
        else:
            account.deleted = now
    _tie_parents(made)
    return list(made.values())


def see_again(domain: Domain, account: WorldAccount, connection: WorldConnection, now: datetime) -> WorldAccount:
    """Show the same account through another connection, enabled; from now on both have the same movements."""
    return _again(domain, account, connection, Manner(disabled=False), now)


def _again(
    domain: Domain, account: WorldAccount, connection: WorldConnection, manner: Manner, now: datetime
) -> WorldAccount:
    # Both records are one account at the bank, even if its IBAN changes.
    account.bank_account = account.identity
    again = replace(
        account,
        id=domain.next_id("account"),
        id_connection=connection.id,
        id_user=connection.id_user,
        id_source=_source_id(connection, manner.source),
        known=account.known and not manner.disabled,
        disabled=now if manner.disabled else None,
        deleted=None,
        last_update=None if manner.disabled else account.last_update,
        pending=list(account.pending),
        figures=[],
        fields={**account.fields, **_numbers(account, manner.numbers)},
        verbatim=dict(account.verbatim),
    )
    domain.accounts[again.id] = again
    webhook_events.account_found(domain, again, now)
    note_figure(again, now)
    return again


def _source_id(connection: WorldConnection, name: str | None) -> int | None:
    if name is None:
        return next((source.id for source in connection.sources if source.disabled is None), None)
    return next(source.id for source in connection.sources if source.name == name)


def _numbers(account: WorldAccount, manner: Numbers) -> JsonObject:
    if manner == "same":
        return {}
    if manner == "absent":
        return {"iban": None, "number": None, "webid": None, "bic": None}
    numbers = {name: account.fields.get(name) for name in ("iban", "number")}
    return {name: _in_groups(value) for name, value in numbers.items() if isinstance(value, str)}


def _in_groups(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _tie_parents(made: dict[int, WorldAccount]) -> None:
    for account in made.values():
        parent = account.fields.get("id_parent")
        if isinstance(parent, int) and parent in made:
            account.fields["id_parent"] = made[parent].id
