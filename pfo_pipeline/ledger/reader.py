"""Read the ledger, only for the tenants that are named: the newest state of accounts, balances and connections."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from pfo_pipeline.contracts.tables import QuarantineRow
from pfo_pipeline.ledger.checks import (
    CONSENTS_UNTIL,
    DAILY_BALANCES,
    DATED_BALANCES,
    DRIFT_SINCE,
    INVARIANTS,
    LAST_LOADS,
    LOADS_AFTER,
    TOTALS_BY_DAY,
)
from pfo_pipeline.ledger.connection import open_file
from pfo_pipeline.ledger.errors import (
    WRITTEN_AGAIN,
    LedgerDamaged,
    LedgerMissing,
    LedgerNewer,
    named_ledger_errors,
    named_schema_errors,
)
from pfo_pipeline.ledger.known import (
    DailyBalances,
    DailyTotals,
    DatedBalance,
    Drift,
    KnownAccount,
    KnownConnection,
    KnownDecision,
    KnownLink,
    KnownProposal,
    KnownUser,
    LoadsAhead,
    Total,
    Violation,
)
from pfo_pipeline.ledger.schema import known_migrations, refuse_other_office, version_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

T = TypeVar("T")


def _within(column: str) -> str:
    """Return an SQL expression that clamps the column to the dates that are recorded today (powens/decode.py).

    Earlier releases recorded any date. A page that shows such a date in its own time zone may have no such date.
    """
    first, last = (f"timestamptz '{day} 00:00:00+00'" for day in ("1900-01-01", "8999-12-31"))
    return f"case when {column} > {last} then {last} when {column} < {first} then {first} else {column} end"


_ACCOUNTS = """
select
    {account_id} as account_id, i.canonical_id, said.decided_by, a.user_id, a.connection_id, a.source_id,
    a.institution_id, a.institution_name, a.account_type,
    coalesce(b.currency, a.currency) as currency, a.display_name, a.number, a.iban, a.bic, a.usage, a.ownership,
    a.parent_account_id, a.disabled_at, a.deleted_at, f.created_at, a.recorded_at as updated_at,
    b.current_balance, b.available_balance, b.available_basis, b.as_of, b.recorded_at as balance_recorded_at,
    c.status as connection_status, c.last_success_at, a.connection_source_id, a.missing_since, a.ended_by,
    a.is_crypto,
    coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class
from {accounts} a
join (select account_id, min(recorded_at) as created_at from accounts where tenant_id = $tenant group by all) f
    on f.account_id = a.account_id
join {identity} i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
left join account_types t on t.account_type = a.account_type
left join (
    select account_id, max_by(decided_by, load_id) as decided_by
    from identities where tenant_id = $tenant and recorded_at <= $known_at group by all
) said on said.account_id = a.account_id
left join {balances} b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
left join {connections} c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
where a.tenant_id = $tenant
    and ($account_id is null or $account_id in (a.account_id, i.canonical_id))
    and ($user_id is null or a.user_id = $user_id)
    and ($connection_id is null or a.connection_id = $connection_id)
    and ($institution_id is null or a.institution_id = $institution_id)
    and ($hidden or (i.counts_as is null and not coalesce(least(a.disabled_at, a.deleted_at) <= $as_of, false)))
    and ($after is null or {account_id} > $after)
{once}
order by 1
limit coalesce($limit, 9223372036854775807)
"""
_ONCE = """qualify row_number() over (
    partition by i.canonical_id
    order by
        i.counts_as is not null,
        coalesce(least(a.disabled_at, a.deleted_at) <= $as_of, false),
        b.as_of desc nulls last,
        a.account_id desc
) = 1"""
_NEWEST = {
    "accounts": "accounts_latest",
    "identity": "account_identity",
    "balances": "balances_latest",
    "connections": "connections_latest",
}
_AT_A_MOMENT = {
    "accounts": "accounts_as_of($known_at)",
    "identity": "account_identity_as_of($known_at)",
    "balances": "linked_balances_as_of($as_of, known_at := $known_at)",
    "connections": """(
    from connections where recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, connection_id order by load_id desc) = 1
)""",
}
_LINKED = _ACCOUNTS.format(account_id="a.account_id", once="", **_NEWEST)
# If several linked accounts are one account, use the enabled one with the newest balance.
_EACH_ONCE = _ACCOUNTS.format(account_id="i.canonical_id", once=_ONCE, **_NEWEST)
_EACH_ONCE_AT_A_MOMENT = _ACCOUNTS.format(account_id="i.canonical_id", once=_ONCE, **_AT_A_MOMENT)
ALWAYS = datetime.max.replace(tzinfo=UTC)
"""A time after all others, so that everything counts."""

# The state of a connection is unknown if its user is no longer read; then the user is reported instead.
_CONNECTIONS = f"""
with not_read as (
    select tenant_id, user_id from users where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    group by all having arg_max(status, load_id) = 'not_configured'
)
select connection_id, user_id, institution_id, institution_name,
    case when is_read then state end, case when is_read then status else 'not_read' end,
    case when is_read then who_acts else 'operator' end,
    case when is_read then remedy else 'Its user is no longer in the configuration: see the action item of the user.' end,
    case when is_read then link end, last_success_at, case when is_read then {_within("next_try_at")} end,
    case when is_read then {_within("consent_expires_at")} end
from (
    select *, status = 'gone' or (tenant_id, user_id) not in (from not_read) as is_read
    from connections where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by connection_id order by load_id desc) = 1
)
order by connection_id
"""

_USERS = """
select user_id, status, code, who_acts, remedy, recorded_at
from users_latest where tenant_id = $tenant order by user_id
"""

_TOTALS = """
select
    tenant_id, currency, accounts, current_balance, loans, oldest_as_of, cash, savings, cards, investments, insurance, crypto,
    unclassified, possibly_double
from totals where tenant_id = $tenant order by currency
"""

_LINKS = """
with versions as (
    select
        account_id, min(recorded_at) as created_at, arg_min(provider_updated_at, load_id) as first_updated_at,
        max(load_id) filter (where coalesce(disabled_at, deleted_at, missing_since) is not null) as last_out
    from accounts where tenant_id = $tenant group by account_id
),
listed as (
    select a.account_id, min(a.recorded_at) as since
    from accounts a join versions v on v.account_id = a.account_id
    where a.tenant_id = $tenant and a.load_id > coalesce(v.last_out, 0)
    group by a.account_id
)
select
    a.account_id, coalesce(i.canonical_id, a.account_id), a.user_id, a.connection_id, a.connection_source_id, a.source_id,
    a.institution_id, a.account_type, a.currency, a.is_crypto, a.iban, a.number, a.display_name, a.parent_account_id,
    a.disabled_at, a.deleted_at, a.missing_since, v.created_at, v.first_updated_at, l.since,
    b.as_of, b.recorded_at, b.current_balance, i.evidence, i.decided_by, i.counts_as
from accounts_latest a
join versions v on v.account_id = a.account_id
left join listed l on l.account_id = a.account_id
left join account_identity i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
left join balances_current b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
where a.tenant_id = $tenant
order by v.created_at, a.source_id
"""

# Before the table account_decisions existed, a person's decision was a row of identities: a join named the other account, and
# a split named the account itself, apart from the account that it had been the same as.
_DECISIONS = """
with before as (
    select account_id, same_as, load_id, decided_by
    from identities
    where tenant_id = $tenant
        and recorded_at < (select coalesce(min(applied_at), 'infinity') from migrations where name = '0006_matching')
),
last_said as (
    from before where decided_by = 'operator'
    qualify row_number() over (partition by account_id order by load_id desc) = 1
),
said as (
    select account_id, same_as as other_id, 'same' as decision, load_id from last_said where same_as <> account_id
    union all
    select l.account_id, b.same_as, 'different', l.load_id
    from last_said l join before b on b.account_id = l.account_id and b.load_id < l.load_id and b.same_as <> l.account_id
    where l.same_as = l.account_id
    union all
    select account_id, other_id, decision, load_id from account_decisions where tenant_id = $tenant
)
select least(account_id, other_id), greatest(account_id, other_id), arg_max(decision, load_id)
from said group by 1, 2 order by all
"""

_PROPOSALS = """
select account_id, other_id, evidence from proposals_as_of('infinity'::timestamptz) where tenant_id = $tenant order by all
"""

_QUARANTINE = """
select tenant_id, record, source_id, reason, payload_digest, user_id, connection_id, institution_name, state
from quarantine where tenant_id = $tenant
qualify row_number() over (partition by record, user_id, source_id, payload_digest order by load_id desc) = 1
    and state is distinct from 'cleared'
order by all
"""

_FAILED_LAST = """
select failed from loads where tenant_id = $tenant and operation = $operation and complete
order by load_id desc limit 1
"""

_LAST_READ = "select tenant_id, max(recorded_at) from loads where complete and synced > 0 group by tenant_id"

_FRAMES = {
    "accounts": "from accounts_latest where tenant_id = $tenant order by account_id",
    "balances": "from balances_latest where tenant_id = $tenant order by account_id",
}


class Reader:
    """Queries on one ledger file; each query opens the file, reads, and closes it."""

    def __init__(self, connect: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]) -> None:
        self._connect = connect

    @contextmanager
    def at_once(self) -> Iterator["Reader"]:
        """Yield a reader that opens the file once for several queries."""
        with self._connect() as con:
            yield Reader(lambda: nullcontext(con))

    def tenants(self) -> list[str]:
        with self._connect() as con:
            return [str(row[0]) for row in con.execute("select distinct tenant_id from loads order by 1").fetchall()]

    def moment(self, tenant_id: str, given: date | None) -> datetime | None:
        """Convert a date to a time: the end of that day in the tenant's time zone, as the ledger knows it. A time is returned
        as it is.
        """
        if given is None or isinstance(given, datetime):
            return given
        query = "select moment_of($given, 'infinity'::timestamptz, $tenant)"
        with self._connect() as con:
            found: list[tuple[datetime]] = con.execute(query, {"given": given, "tenant": tenant_id}).fetchall()
        return found[0][0].astimezone(UTC)

    def last_read(self) -> dict[str, datetime]:
        """Return when each tenant was last read with at least one connection in order; tenants never read are left out."""
        with self._connect() as con:
            return {str(tenant_id): at.astimezone(UTC) for tenant_id, at in con.execute(_LAST_READ).fetchall()}

    def linked_accounts(self, tenant_id: str) -> list[KnownAccount]:
        """Return every linked account, including hidden ones, by its own id: for the pipeline's own work."""
        return self._accounts(_LINKED, tenant_id, hidden=True)

    def accounts(
        self,
        tenant_id: str,
        *,
        account_id: str | None = None,
        user_id: str | None = None,
        connection_id: str | None = None,
        institution_id: str | None = None,
        include_hidden: bool = False,
        after: str | None = None,
        limit: int | None = None,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> list[KnownAccount]:
        """Return the tenant's accounts, each once with its canonical id, ordered by that id.

        Args:
            account_id: The canonical id, or that of one of its linked accounts.
            include_hidden: Include disabled and deleted accounts.
            after: Only ids after this one, for paging.
            as_of: Balances of the banks at this time, and the accounts enabled then; None: the newest.
            known_at: As the ledger knew it at this time; None: everything known.
        """
        return self._accounts(
            _EACH_ONCE if as_of is None and known_at is None else _EACH_ONCE_AT_A_MOMENT,
            tenant_id,
            account_id=account_id,
            user_id=user_id,
            connection_id=connection_id,
            institution_id=institution_id,
            hidden=include_hidden,
            after=after,
            limit=limit,
            as_of=as_of or ALWAYS,
            known_at=known_at or ALWAYS,
        )

    def _accounts(
        self, query: str, tenant_id: str, **filters: str | int | bool | datetime | None
    ) -> list[KnownAccount]:
        parameters = dict.fromkeys(("account_id", "user_id", "connection_id", "institution_id", "after", "limit"))
        always = dict.fromkeys(("as_of", "known_at"), ALWAYS)
        return self.typed(KnownAccount, query, {**parameters, **always, "tenant": tenant_id, **filters})

    def connections(self, tenant_id: str, *, known_at: datetime | None = None) -> list[KnownConnection]:
        """Return the state of each connection, now or as the ledger knew it at `known_at`."""
        return self.typed(KnownConnection, _CONNECTIONS, {"tenants": [tenant_id], "known_at": known_at or ALWAYS})

    def users(self, tenant_id: str) -> list[KnownUser]:
        return self.typed(KnownUser, _USERS, {"tenant": tenant_id})

    def links(self, tenant_id: str) -> list[KnownLink]:
        """Return every linked account of the tenant with the data that account matching needs, oldest first."""
        return self.typed(KnownLink, _LINKS, {"tenant": tenant_id})

    def decisions(self, tenant_id: str) -> list[KnownDecision]:
        """Return persons' decisions about two linked accounts, the latest of each pair."""
        return self.typed(KnownDecision, _DECISIONS, {"tenant": tenant_id})

    def proposals(self, tenant_id: str) -> list[KnownProposal]:
        return self.typed(KnownProposal, _PROPOSALS, {"tenant": tenant_id})

    def quarantine(self, tenant_id: str) -> list[QuarantineRow]:
        """Return the records that are still quarantined."""
        return self.typed(QuarantineRow, _QUARANTINE, {"tenant": tenant_id})

    def account_classes(self) -> dict[str, str]:
        """Return the class of each account type."""
        with self._connect() as con:
            return dict(con.execute("from account_types").fetchall())

    def with_consents_until(self, tenant_ids: list[str], until: datetime) -> list[str]:
        """Return the tenants with a consent that expires by `until` or has expired."""
        with self._connect() as con:
            found = con.execute(CONSENTS_UNTIL, {"tenants": tenant_ids, "until": until}).fetchall()
        return [str(tenant_id) for (tenant_id,) in found]

    def drift_since(self, tenant_ids: list[str], since: datetime) -> list[Drift]:
        """Return undocumented fields and values that Powens has sent since `since`."""
        return self.typed(Drift, DRIFT_SINCE, {"tenants": tenant_ids, "since": since})

    def totals(self, tenant_id: str) -> list[Total]:
        return self.typed(Total, _TOTALS, {"tenant": tenant_id})

    def failed_last(self, tenant_id: str, operation: str) -> int:
        """Return how many records the operation's newest complete load could not update."""
        with self._connect() as con:
            found = con.execute(_FAILED_LAST, {"tenant": tenant_id, "operation": operation}).fetchall()
        return int(found[0][0]) if found else 0

    def dated_balances(self, tenant_ids: list[str]) -> list[DatedBalance]:
        """Return the newest balance of every enabled account of these tenants, with the dates that determine its age."""
        return self.typed(DatedBalance, DATED_BALANCES, {"tenants": tenant_ids})

    def last_loads(self, tenant_ids: list[str], operation: str) -> dict[str, datetime]:
        """Return the time of the operation's last complete load of each tenant; tenants without one are left out."""
        with self._connect() as con:
            rows = con.execute(LAST_LOADS, {"tenants": tenant_ids, "operation": operation}).fetchall()
        return {tenant_id: _in_utc(at) for tenant_id, at in rows}

    def loads_after(self, moment: datetime) -> list[LoadsAhead]:
        """Return the loads of every tenant dated after `moment`. A load dated after now was dated by a wrong clock."""
        return self.typed(LoadsAhead, LOADS_AFTER, {"after": moment})

    def daily_balances(self, tenant_id: str, since: datetime) -> list[DailyBalances]:
        """Return the last balance of each day since `since`, for every account of the tenant that has one."""
        return self.typed(DailyBalances, DAILY_BALANCES, {"tenant": tenant_id, "since": since})

    def totals_by_day(self, tenant_id: str, now: datetime, days: int) -> list[DailyTotals]:
        """Return the tenant's total per currency on each of the last days, from the first balance on, without loans."""
        since = now - timedelta(days=2 * days)
        parameters = {"tenant": tenant_id, "now": now, "days": days, "since": since}
        return self.typed(DailyTotals, TOTALS_BY_DAY, parameters)

    def violations(self, rule: str, tenant_id: str, run_id: str) -> list[Violation]:
        """Return the tenant's violations of a rule of INVARIANTS; some rules check only the rows of one run."""
        query, parameters = INVARIANTS[rule], {"tenant": tenant_id}
        return self.typed(Violation, query, parameters | ({"run": run_id} if "$run" in query else {}))

    def newest_load(self) -> int:
        """Return the number of the newest load; 0 if there is none."""
        with self._connect() as con:
            return int(con.execute("select coalesce(max(load_id), 0) from loads").fetchall()[0][0])

    def texts(self, query: str, parameters: dict[str, Any]) -> dict[str, str | None]:
        """Return the result of a query with two text columns, the first of which is unique."""
        with self._connect() as con:
            return dict(con.execute(query, parameters).fetchall())

    def frame(self, tenant_id: str, table: str) -> "pd.DataFrame":
        """Return the newest rows of `accounts` or `balances` with Arrow-backed columns, which keep decimals and time zones."""
        import pandas as pd  # Imported only where a frame is wanted.

        with self._connect() as con:
            arrow: pa.Table = con.sql(_FRAMES[table], params={"tenant": tenant_id}).to_arrow_table()
            return arrow.to_pandas(types_mapper=pd.ArrowDtype)

    def typed(self, kind: Callable[..., T], query: str, parameters: dict[str, Any]) -> list[T]:
        """Return the result of a query as objects of `kind`, whose arguments are the columns in order; times are in UTC."""
        with self._connect() as con:
            return [kind(*map(_in_utc, row)) for row in con.execute(query, parameters).fetchall()]


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def published_reader(path: Path, office: str | None = None, key: str | None = None) -> Reader:
    """Return a reader of the published ledger, which never blocks the pipeline and is never blocked by it.

    Args:
        office: Refuse a ledger of any other office.
        key: The encryption key of the file; None for a plain one.
    """
    return Reader(lambda: open_published(path, office, key))


@contextmanager
def open_published(
    path: Path, office: str | None = None, key: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a read-only connection to the published ledger, with default schema `ledger`.

    Raises:
        LedgerMissing: nothing has been published there yet.
        LedgerDamaged: the file does not open, or contains no ledger.
        LedgerNewer: written by a newer version of this program.
        LedgerForeign: it belongs to another office than `office`.
        LedgerKeyRefused: the key is wrong or missing, or the file is plain.
    """
    if not path.exists():
        raise LedgerMissing(f"There is no ledger at {path} yet. Run `make run` (or `pfo run`) first.")
    with named_ledger_errors(path, if_damaged=WRITTEN_AGAIN):
        con = open_file(path, key=key, read_only=True)
        try:
            with named_schema_errors(path, if_damaged=WRITTEN_AGAIN):
                _refuse_what_is_none_of_ours(con, path, office)
            yield con
        finally:
            con.close()


def _refuse_what_is_none_of_ours(con: duckdb.DuckDBPyConnection, path: Path, office: str | None) -> None:
    version = version_of(con)
    if version == 0:
        raise LedgerDamaged(f"{path}: a DuckDB file without a ledger in it. {WRITTEN_AGAIN}")
    if version > known_migrations()[-1].version:
        raise LedgerNewer(f"{path} has schema version {version}, newer than this program. Update the program.")
    if office is not None:
        refuse_other_office(con, path, office, if_damaged=WRITTEN_AGAIN)
