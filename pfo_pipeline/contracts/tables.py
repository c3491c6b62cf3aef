"""The ledger's rows: one frozen class per table; each column has a type, a meaning and whether it is personal.

The Arrow schemas, the comments in the database and the column schema in Dagster come from here.
"""

from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal

ColumnType = Literal["varchar", "decimal(38,10)", "timestamptz", "boolean", "bigint", "json"]

MONEY: ColumnType = "decimal(38,10)"


@dataclass(frozen=True)
class Column:
    name: str
    type: ColumnType
    description: str
    nullable: bool
    personal: bool = False


@dataclass(frozen=True)
class Table:
    """A table of schema `ledger`. `key` identifies what a row is about; `columns` excludes PROVENANCE."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def qualified_name(self) -> str:
        return f"ledger.{self.name}"

    @property
    def facts(self) -> tuple[str, ...]:
        """The columns that make a new row when one of them differs.

        All columns except the key, the provenance, and the link, which the configuration derives from the key.
        """
        unlearnt = ("payload_digest", "provider_updated_at", "link", "rounded_from")
        return tuple(c.name for c in self.columns if c.name not in (*self.key, *unlearnt))


def _column(
    column_type: ColumnType, description: str, *, null: bool = False, personal: bool = False, default: Any = MISSING
) -> Any:
    metadata = {"type": column_type, "description": description, "null": null, "personal": personal}
    return field(metadata=metadata, default=default)


def _columns(row: type) -> tuple[Column, ...]:
    return tuple(
        Column(f.name, f.metadata["type"], f.metadata["description"], f.metadata["null"], f.metadata["personal"])
        for f in fields(row)
    )


_TENANT = "Slug of the tenant that the row belongs to."
_DIGEST = "SHA-256 of the provider's record that the row was read from; the record itself is not kept."


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant's time zone, as configured; the newest row is current. A date means the end of that day there."""

    tenant_id: str = _column("varchar", _TENANT)
    time_zone: str = _column("varchar", "IANA name, such as Europe/Paris.")


@dataclass(frozen=True, slots=True)
class UserRow:
    """Result of a read of one Powens user, a member of the tenant's household."""

    tenant_id: str = _column("varchar", _TENANT)
    user_id: str = _column("varchar", "Slug of the user, as configured or once configured.")
    status: str = _column(
        "varchar",
        "ok, refused (token or user no longer valid), unreachable (after all attempts), not_configured (no longer read by us) "
        "or ended (likewise, and nothing of theirs counts).",
    )
    code: str | None = _column("varchar", "Powens' error code, or ours if the answer was unreadable.", null=True)
    who_acts: str | None = _column(
        "varchar", "Who must act: operator, powens, nobody; null if there is none.", null=True
    )
    remedy: str | None = _column("varchar", "What to do, in words.", null=True)


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """The state of one connection between a user and a bank, as last reported by Powens."""

    tenant_id: str = _column("varchar", _TENANT)
    connection_id: str = _column("varchar", "Powens' id of the connection.")
    user_id: str = _column("varchar", "Slug of the user who owns the connection.")
    institution_id: str = _column("varchar", "Stable uuid of the connector (the bank).")
    institution_name: str = _column("varchar", "Name of the bank.")
    state: str | None = _column(
        "varchar", "Powens' state, or a source's where the connection shows none; null = OK.", null=True
    )
    status: str = _column("varchar", "healthy, needs-person, temporary, silent, paused, gone or unknown.")
    who_acts: str | None = _column(
        "varchar", "Who must act: member, operator, bank, powens, nobody; null when healthy.", null=True
    )
    remedy: str | None = _column("varchar", "What to do, in words.", null=True)
    link: str | None = _column(
        "varchar", "Where the member acts; an access code is added when the link is asked for.", null=True
    )
    active: bool = _column("boolean", "Whether Powens syncs the connection by itself.")
    created_at: datetime | None = _column("timestamptz", "When the connection was made.", null=True)
    last_success_at: datetime | None = _column(
        "timestamptz", "Last sync of this connection that succeeded at Powens.", null=True
    )
    next_try_at: datetime | None = _column("timestamptz", "Next automatic sync that Powens has planned.", null=True)
    consent_expires_at: datetime | None = _column("timestamptz", "When the consent given to the bank ends.", null=True)
    payload_digest: str = _column("varchar", _DIGEST)


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One version of a linked account; the newest is current."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of the account; stable across syncs.")
    user_id: str = _column("varchar", "Slug of the user whose connection lists the account.")
    connection_id: str = _column("varchar", "Powens' id of the connection.")
    source_id: str = _column("varchar", "Powens' id of the account.")
    institution_id: str = _column("varchar", "Stable uuid of the connector (the bank).")
    institution_name: str = _column("varchar", "Name of the bank.")
    account_type: str = _column("varchar", "Powens' account type, such as checking, savings, card, loan; open list.")
    currency: str | None = _column("varchar", "ISO 4217 code, or the coin's; null while Powens gives none.", null=True)
    display_name: str = _column("varchar", "Name of the account as shown to the user.", personal=True)
    number: str | None = _column("varchar", "Account number at the bank.", null=True, personal=True)
    iban: str | None = _column("varchar", "IBAN.", null=True, personal=True)
    bic: str | None = _column("varchar", "BIC of the bank.", null=True, personal=True)
    usage: str | None = _column("varchar", "PRIV, ORGA or ASSO.", null=True)
    ownership: str | None = _column("varchar", "owner, co-owner or attorney.", null=True)
    parent_account_id: str | None = _column("varchar", "Canonical id of the account that a card belongs to.", null=True)
    disabled_at: datetime | None = _column(
        "timestamptz", "Since when Powens does not sync it: no consent given.", null=True
    )
    deleted_at: datetime | None = _column(
        "timestamptz", "When the account ended, so that it no longer counts; see ended_by.", null=True
    )
    provider_updated_at: datetime | None = _column(
        "timestamptz", "Powens' own time of the record that this version was read from.", null=True
    )
    payload_digest: str = _column("varchar", _DIGEST)
    connection_source_id: str | None = _column(
        "varchar",
        "Powens' id of the connection's source that lists it; null if Powens names none.",
        null=True,
        default=None,
    )
    is_crypto: bool | None = _column(
        "boolean", "Whether Powens says that the currency is a coin: then its class is crypto.", null=True, default=None
    )
    missing_since: datetime | None = _column(
        "timestamptz",
        "Since when no list contains it, although it has not ended. It counts with its last balance.",
        null=True,
        default=None,
    )
    ended_by: str | None = _column(
        "varchar",
        "Why deleted_at is set: bank (Powens' own date), connection (it was removed), missing (no list had it for a day), "
        "operator (ended by a person). While it is missing: missing once a read of its source did not list it.",
        null=True,
        default=None,
    )
    trouble: str | None = _column(
        "varchar",
        "Powens' error of this account alone, such as actionNeeded; null if there is none.",
        null=True,
        default=None,
    )


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """Balance of a linked account at one time, as recorded at another. Corrections are further rows."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of the linked account.")
    as_of: datetime = _column(
        "timestamptz", "Date and time of the balance: Powens' last successful update of the account."
    )
    connection_id: str = _column("varchar", "Powens' id of the connection that gave it.")
    source_id: str = _column("varchar", "Powens' id of the account.")
    currency: str = _column("varchar", "ISO 4217 code, or the coin's.")
    current_balance: Decimal = _column(MONEY, "Booked balance, in units of currency, exact; negative where owed.")
    available_balance: Decimal | None = _column(
        MONEY,
        "Derived, in units of currency: the booked balance and what is announced; null where nothing is known.",
        null=True,
    )
    available_basis: str | None = _column(
        "varchar", "How available was derived: coming_balance, or balance+coming.", null=True
    )
    payload_digest: str = _column("varchar", _DIGEST)
    rounded_from: str | None = _column(
        "varchar",
        "The booked balance as it was sent, where it was rounded: noise of a binary float, or decimals of a coin beyond ten.",
        null=True,
        default=None,
    )


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A provider's record that breaks the contract, kept out of the ledger, with the reason."""

    tenant_id: str = _column("varchar", _TENANT)
    record: str = _column("varchar", "Kind of record: connection, account or balance.")
    source_id: str | None = _column("varchar", "Powens' id of the record, where it has one.", null=True)
    reason: str = _column("varchar", "Which field breaks which rule; never the value.")
    payload_digest: str = _column("varchar", _DIGEST)
    user_id: str | None = _column(
        "varchar", "Slug of the user whose list contains it; null in rows of release 0.1.0.", null=True, default=None
    )
    connection_id: str | None = _column(
        "varchar", "Powens' id of its connection, if that can be read.", null=True, default=None
    )
    institution_name: str | None = _column(
        "varchar", "Name of the bank, if the record names it.", null=True, default=None
    )
    state: str | None = _column(
        "varchar",
        "open, or cleared by a later read. Null, as in rows of release 0.1.0, is open.",
        null=True,
        default=None,
    )


@dataclass(frozen=True, slots=True)
class DriftRow:
    """Unknown values and fields from Powens; each is reported once."""

    tenant_id: str = _column("varchar", _TENANT)
    field: str = _column("varchar", "Where, such as account.type.")
    value: str = _column(
        "varchar", "The unknown enum value; empty when the field itself is unknown; (does not fit) where its type is."
    )


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """The account of a linked account, and whether it counts there; the newest row is current."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of the linked account.")
    same_as: str = _column("varchar", "Id of the account; its own id if it is an account by itself.")
    evidence: str = _column(
        "varchar", "iban, number, successor, balance of the parent, by itself, or decision (of a person)."
    )
    decided_by: str = _column(
        "varchar",
        "evidence or operator. Rows of release 0.1.0 may say proposed; see account_proposals for those of today.",
    )
    counts_as: str | None = _column(
        "varchar",
        "Null: a link of its account. one_of: a link of one of several accounts, it is not known which, so it does not "
        "count. part_of: a card that repeats the balance of its parent, so it does not count.",
        null=True,
        default=None,
    )
    others: str | None = _column(
        "varchar",
        "The accounts that it may be one of, or its parent: ids, with commas between.",
        null=True,
        default=None,
    )
    account_class: str | None = _column(
        "varchar",
        "Class of the account where this link's own type does not decide; see account_types.",
        null=True,
        default=None,
    )


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A person's decision about two linked accounts; the newest row of a pair is current."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of one linked account, the first of the two in order.")
    other_id: str = _column("varchar", "Id of the other linked account.")
    decision: str = _column("varchar", "same, different, or undone: evidence decides again.")


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A pair of accounts that may be one, on evidence that does not decide; the newest row of a pair is current."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of the linked account.")
    other_id: str = _column("varchar", "Id of the account that it may be.")
    evidence: str = _column("varchar", "iban, number, name, or gap: no live link for over 180 days.")
    state: str = _column("varchar", "open, or withdrawn: decided, or the evidence is gone.")


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A known account that counts differently than before; it is an action item until a person has seen it."""

    tenant_id: str = _column("varchar", _TENANT)
    account_id: str = _column("varchar", "Id of the account.")
    was: str = _column("varchar", "Status before; the values of stands.")
    stands: str = _column(
        "varchar", "counts, loan, unclassified, disabled, ended, one_of, part_of, or same as another account."
    )
    seen: bool = _column("boolean", "Whether a person asked for the change, or has acknowledged it.")


LedgerRow = (
    TenantRow
    | UserRow
    | ConnectionRow
    | AccountRow
    | BalanceRow
    | QuarantineRow
    | DriftRow
    | IdentityRow
    | DecisionRow
    | ProposalRow
    | ChangeRow
)

_TABLES: dict[type, tuple[str, tuple[str, ...]]] = {
    TenantRow: ("tenants", ("tenant_id",)),
    UserRow: ("users", ("tenant_id", "user_id")),
    ConnectionRow: ("connections", ("tenant_id", "connection_id")),
    AccountRow: ("accounts", ("tenant_id", "account_id")),
    BalanceRow: ("balances", ("tenant_id", "account_id", "as_of")),
    QuarantineRow: ("quarantine", ("tenant_id", "record", "user_id", "source_id", "payload_digest")),
    DriftRow: ("drift", ("tenant_id", "field", "value")),
    IdentityRow: ("identities", ("tenant_id", "account_id")),
    DecisionRow: ("account_decisions", ("tenant_id", "account_id", "other_id")),
    ProposalRow: ("account_proposals", ("tenant_id", "account_id", "other_id")),
    ChangeRow: ("account_changes", ("tenant_id", "account_id")),
}


@cache
def _table_of(row: type) -> Table:
    name, key = _TABLES[row]
    return Table(name, " ".join((row.__doc__ or "").split()), key, _columns(row))


def table_of(row: type) -> Table:
    """Return the table of a row class."""
    return _table_of(row)


def tables() -> tuple[Table, ...]:
    return tuple(table_of(row) for row in _TABLES)


PROVENANCE: tuple[Column, ...] = (
    Column("load_id", "bigint", "The load that wrote the row; see ledger.loads.", nullable=False),
    Column("recorded_at", "timestamptz", "When we learnt it.", nullable=False),
    Column("run_id", "varchar", "Dagster run that wrote the row.", nullable=False),
    Column("operation", "varchar", "Contract operation that wrote the row.", nullable=False),
)
"""Columns that the ledger adds to every row."""
