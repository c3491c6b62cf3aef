"""Opening connections and accounts: ids, identifiers, defaults.

Here: building records that are complete and plausible from a few given values.
Not here: which ones a world starts with (demo.py), what an admin sends (admin_values.py).

Account numbers carry the bank code 99999, which no bank has, and check digits that are right.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType

from pfo_pipeline.simulator.catalogue import Connector
from pfo_pipeline.simulator.dice import pick
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.movement import CONSENT, default_swing
from pfo_pipeline.simulator.paris import last_daily, next_daily, paris_day
from pfo_pipeline.simulator.records import Account, Connection, Domain, Source, User, World

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
    """What is known of an account before it exists. `parent` is the position of another draft."""

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


def open_connection(world: World, domain: Domain, user: User, connector: Connector, *, created: datetime) -> Connection:
    """A healthy connection whose last daily sync lies in the past; without accounts."""
    now = world.clock.now()
    connection_id = domain.next_id("connection")
    sync_time = _sync_time(world, domain, connection_id)
    synced = last_daily(sync_time, now)
    connection = Connection(
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
        Source(
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
    world: World, domain: Domain, connection: Connection, draft: AccountDraft, *, since: datetime
) -> Account:
    """An account whose balance at `since` is the draft's; it has moved with each sync after."""
    account_id = domain.next_id("account")
    now = world.clock.now()
    number, iban = _identifiers(domain, account_id, connection.connector, draft)
    known = not draft.disabled
    account = Account(
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
    world: World, domain: Domain, connection: Connection, drafts: list[AccountDraft], *, since: datetime
) -> list[Account]:
    """Accounts in the order of the drafts, cards tied to their parents."""
    accounts = [open_account(world, domain, connection, draft, since=since) for draft in drafts]
    for account, draft in zip(accounts, drafts, strict=True):
        if draft.parent is not None:
            account.fields["id_parent"] = accounts[draft.parent].id
    return accounts


def discoveries(world: World, domain: Domain, connection: Connection) -> list[AccountDraft]:
    """What a fresh test connection finds: accounts that stay disabled until the user enables them."""

    def amount(label: str, low: int, high: int) -> Decimal:
        return Decimal(pick(low, high, world.seed, domain.name, connection.id, label)).scaleb(-2)

    return [
        AccountDraft("checking", "Compte chèque", amount("checking", 20_000, 900_000), has_iban=True, disabled=True),
        AccountDraft("livret_a", "Livret A", amount("livret", 100_000, 2_295_000), disabled=True),
        AccountDraft("card", "Carte", Decimal(0), coming=-amount("card", 100, 90_000), parent=0, disabled=True),
    ]


def french_iban(account_number: int) -> str:
    """A French IBAN at the fictitious bank 99999, with right key and check digits."""
    branch, number = "00082", f"{account_number:011d}"
    key = 97 - (89 * int(BANK_CODE) + 15 * int(branch) + 3 * int(number)) % 97
    return _with_check_digits("FR", f"{BANK_CODE}{branch}{number}{key:02d}")


def swiss_iban(account_number: int) -> str:
    """A Swiss IBAN at the fictitious bank 99999, with right check digits."""
    return _with_check_digits("CH", f"{BANK_CODE}{account_number:012d}")


def loan_object(**known: object) -> JsonObject:
    """A Loan object; what is not given is null."""
    return {name: known.get(name) for name in LOAN_FIELDS}


def _with_check_digits(country: str, bban: str) -> str:
    digits = "".join(str(int(character, 36)) for character in f"{bban}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{bban}"


def _identifiers(domain: Domain, account_id: int, connector: Connector, draft: AccountDraft) -> tuple[str, str | None]:
    # Ids repeat from domain to domain, account numbers of different people do not.
    serial = pick(10**9, 10**10 - 1, "account number", domain.name, account_id)
    if draft.type == "card":
        return f"4970XXXXXXXX{serial % 10_000:04d}", None
    if not draft.has_iban:
        return f"{serial:017d}", None
    iban = swiss_iban(serial) if connector.country == "ch" else french_iban(serial)
    return iban[4:], iban


def _sync_time(world: World, domain: Domain, connection_id: int) -> time:
    # From half past three, so that no clock change ever falls on it.
    minute = pick(210, 450, "sync time", world.seed, domain.name, connection_id)
    return time(minute // 60, minute % 60, pick(0, 59, "sync second", world.seed, domain.name, connection_id))


def _consent_end(created: datetime, now: datetime) -> datetime:
    """180 days after the last consent, which a careful user renews every 160 days."""
    renewals = max(0, (now - created) // timedelta(days=160))
    return created + timedelta(days=160) * renewals + CONSENT


def _just_before(moment: datetime | None) -> datetime | None:
    return moment - timedelta(seconds=1) if moment else None
