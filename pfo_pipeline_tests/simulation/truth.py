"""The true state of the bank at one time, from the simulator's own records, not from its answers to the pipeline."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from pfo_pipeline.simulator.paris_time import PARIS
from pfo_pipeline.simulator.state import Domain, WorldAccount, WorldConnection


@dataclass(frozen=True)
class TrueConnection:
    """`states` are those of its working sources."""

    id: int
    state: str | None
    states: tuple[str, ...]
    active: bool
    created: datetime
    synced: datetime | None
    next_try: datetime | None
    expires: datetime | None


@dataclass(frozen=True)
class TrueAccount:
    """The visible part of an account; fields hidden until its first sync are None."""

    id: int
    connection: int
    source: int | None
    type: str
    name: str
    number: str | None
    iban: str | None
    currency: str | None
    balance: Decimal | None
    available: Decimal | None
    updated: datetime | None
    disabled: datetime | None
    deleted: datetime | None
    known: bool

    @property
    def is_live(self) -> bool:
        return self.disabled is None and self.deleted is None


@dataclass(frozen=True)
class Picture:
    """The records of one member."""

    connections: tuple[TrueConnection, ...]
    accounts: tuple[TrueAccount, ...]


def picture(domain: Domain, user_id: int) -> Picture:
    return Picture(
        tuple(_connection(connection) for connection in domain.connections_of(user_id)),
        tuple(_account(account) for account in domain.accounts_of(user_id)),
    )


def _connection(connection: WorldConnection) -> TrueConnection:
    return TrueConnection(
        id=connection.id,
        state=connection.state,
        states=tuple(s.state for s in connection.sources if s.state is not None and s.disabled is None),
        active=connection.active,
        created=_first_pass(connection.created),
        synced=_told(connection.last_update),
        next_try=_told(connection.next_try),
        expires=_told(connection.expire),
    )


def _account(account: WorldAccount) -> TrueAccount:
    known = account.known
    balance = account.balance if known else None
    return TrueAccount(
        id=account.id,
        connection=account.id_connection,
        source=account.id_source,
        type=account.type,
        name=str(account.fields["name"]),
        number=_text(account.fields["number"]) if known else None,
        iban=_text(account.fields["iban"]) if known else None,
        currency=account.currency if known and "currency" not in account.verbatim else None,
        balance=balance,
        available=None if balance is None else balance + (account.coming or 0),
        updated=None if "last_update" in account.verbatim else _told(account.last_update),
        disabled=_told(account.disabled),
        deleted=_told(account.deleted),
        known=known,
    )


def _told(moment: datetime | None) -> datetime | None:
    return None if moment is None else _first_pass(moment)


def _first_pass(moment: datetime) -> datetime:
    return moment.astimezone(PARIS).replace(fold=0).astimezone(UTC)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
