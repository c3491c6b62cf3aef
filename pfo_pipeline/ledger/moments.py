"""The state at any time, as known at another: accounts, users, decisions, loads, totals by day.

A balance counts as in the macros `cash_position` and `accounts_as_of`; the newest state is their answer for a time after
all others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pfo_pipeline.contracts.records import EXACT
from pfo_pipeline.ledger.known import (
    AccountAsOf,
    AccountLink,
    BalanceAsOf,
    CoverageRow,
    DayTotal,
    NewestLoad,
    PossibleDouble,
    Shared,
)
from pfo_pipeline.ledger.reader import Reader

# Includes accounts that do not count, because readers ask why an account is gone. Otherwise like cash_position.
_ACCOUNTS = """
with linked as (
    select
        a.*,
        i.canonical_id, i.counts_as, i.others,
        coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class,
        (a.disabled_at is null or a.disabled_at > $at) and (a.deleted_at is null or a.deleted_at > $at)
            and i.counts_as is null as counts
    from accounts_as_of($known_at) a
    join account_identity_as_of($known_at) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
    where list_contains($tenants, a.tenant_id)
),
connections_then as (
    from connections
    where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, connection_id order by load_id desc) = 1
)
select
    a.tenant_id, a.canonical_id, a.account_id, a.user_id, a.connection_id, a.institution_name, a.display_name,
    a.account_type, a.account_class, coalesce(b.currency, a.currency), a.counts, a.counts_as, a.others, a.deleted_at,
    b.current_balance, b.available_balance, b.as_of, b.recorded_at,
    c.status, c.who_acts,
    case when not c.active then 'paused' when c.consent_expires_at is null then 'credentials' else 'consent' end,
    c.last_success_at
from linked a
left join linked_balances_as_of($at, known_at := $known_at) b
    on b.tenant_id = a.tenant_id and b.account_id = a.account_id
left join connections_then c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
qualify row_number() over (
    partition by a.tenant_id, a.canonical_id order by a.counts desc, b.as_of desc nulls last, a.account_id desc
) = 1
order by a.tenant_id, a.canonical_id
"""


def accounts_at(reader: Reader, tenant_ids: Sequence[str], at: datetime, known_at: datetime) -> list[AccountAsOf]:
    """Return every account once, as decided at `known_at`, with its last balance up to `at`; includes hidden accounts."""
    return reader.typed(AccountAsOf, _ACCOUNTS, {"tenants": list(tenant_ids), "at": at, "known_at": known_at})


# Every linked account of the tenants, known at that time or not: an account that was not known has no row that counts.
_ACCOUNT_IDS = """
select tenant_id, account_id, canonical_id from account_identity_as_of($known_at)
where list_contains($tenants, tenant_id)
"""


def account_ids_at(reader: Reader, tenant_ids: Sequence[str], known_at: datetime) -> dict[tuple[str, str], str]:
    """Return the account of each linked account, by tenant and linked account."""
    found = reader.typed(AccountLink, _ACCOUNT_IDS, {"tenants": list(tenant_ids), "known_at": known_at})
    return {(b.tenant_id, b.linked_id): b.account_id for b in found}


# Materialized, because otherwise DuckDB may join every balance of a tenant with every date before it compares accounts, which
# takes minutes.
_BALANCES_OF_DATES = """
with linked as materialized (
    select i.tenant_id, i.account_id, i.canonical_id, w.wanted_date
    from account_identity_as_of($known_at) i
    join (
        select
            unnest($tenants::varchar[]) as tenant_id, unnest($accounts::varchar[]) as canonical_id,
            unnest($dates::timestamptz[]) as wanted_date
    ) w on w.tenant_id = i.tenant_id and w.canonical_id = i.canonical_id
),
newest as (
    select a.canonical_id, arg_max(b.rowid, epoch_us(b.as_of)::hugeint * 4294967296 + b.load_id) as newest
    from balances b
    join linked a
        on a.tenant_id = b.tenant_id and a.account_id = b.account_id
        and counts_from(b.as_of, b.recorded_at) <= a.wanted_date
    where b.recorded_at <= $known_at
    group by a.tenant_id, a.canonical_id, a.account_id
)
select b.tenant_id, n.canonical_id, b.currency, b.current_balance
from newest n join balances b on b.rowid = n.newest
qualify row_number() over (
    partition by b.tenant_id, n.canonical_id order by b.as_of desc, b.account_id desc
) = 1
"""


def balances_at(
    reader: Reader, dates: Mapping[tuple[str, str], datetime], known_at: datetime
) -> dict[tuple[str, str], BalanceAsOf]:
    """Return the last balance of each account up to its own date; includes hidden accounts.

    Args:
        dates: The dates, by tenant and account.
    """
    found = reader.typed(
        BalanceAsOf,
        _BALANCES_OF_DATES,
        {
            "tenants": [tenant_id for tenant_id, _ in dates],
            "accounts": [account_id for _, account_id in dates],
            "dates": list(dates.values()),
            "known_at": known_at,
        },
    )
    return {(f.tenant_id, f.account_id): f for f in found}


# Like `possibly_double` of the view totals: each such account once, for any number of proposals.
_POSSIBLE_DOUBLES = """
with counting as (
    from positions_as_of($at, known_at := $known_at) where list_contains($tenants, tenant_id) and as_of is not null
)
select tenant_id, account_id, currency, abs(current_balance)
from counting
where (tenant_id, account_id) in (
    select (p.tenant_id, p.account_id)
    from proposals_as_of($known_at) p
    join counting o on o.tenant_id = p.tenant_id and o.account_id = p.other_id
)
order by all
"""


def possible_doubles_at(
    reader: Reader, tenant_ids: Sequence[str], at: datetime, known_at: datetime
) -> list[PossibleDouble]:
    """Return the accounts that may be counted twice according to open proposals."""
    return reader.typed(
        PossibleDouble, _POSSIBLE_DOUBLES, {"tenants": list(tenant_ids), "at": at, "known_at": known_at}
    )


_COVERAGE = """
select
    c.tenant_id, c.linked_id, c.account_id, c.institution_name, a.display_name, a.account_type, c.account_class, c.currency,
    c.current_balance, c.as_of, c.counted, c.reason, c.detail, c.note
from coverage_as_of($at, known_at := $known_at) c
left join accounts_as_of($known_at) a on a.tenant_id = c.tenant_id and a.account_id = c.linked_id
where list_contains($tenants, c.tenant_id)
order by all
"""


def coverage_at(reader: Reader, tenant_ids: Sequence[str], at: datetime, known_at: datetime) -> list[CoverageRow]:
    """Return every linked account, counted or with the reason why not."""
    return reader.typed(CoverageRow, _COVERAGE, {"tenants": list(tenant_ids), "at": at, "known_at": known_at})


# Matched by IBAN. A published ledger may leave IBANs out; then there are no matches and nothing is reported.
_SHARED = """
select
    list_sort(list(distinct p.tenant_id)), arg_max(p.institution_name, p.as_of), arg_max(p.display_name, p.as_of),
    p.currency, arg_max(p.current_balance, p.as_of)
from positions_as_of($at, known_at := $known_at) p
join accounts_as_of($known_at) a on a.tenant_id = p.tenant_id and a.account_id = p.linked_id
where list_contains($tenants, p.tenant_id) and p.as_of is not null and a.iban is not null
group by a.iban, p.currency, p.account_class having count(distinct p.tenant_id) > 1
order by all
"""


def shared_accounts_at(reader: Reader, tenant_ids: Sequence[str], at: datetime, known_at: datetime) -> list[Shared]:
    """Return the accounts that several of these tenants have and count."""
    return reader.typed(Shared, _SHARED, {"tenants": list(tenant_ids), "at": at, "known_at": known_at})


_NEWEST_LOADS = """
select l.tenant_id, l.run_id, l.recorded_at, c.hash
from loads l left join chain c on c.tenant_id = l.tenant_id and c.load_id = l.load_id
where list_contains($tenants, l.tenant_id) and l.recorded_at <= $known_at
qualify row_number() over (partition by l.tenant_id order by l.load_id desc) = 1
order by l.tenant_id
"""


def newest_loads(reader: Reader, tenant_ids: Sequence[str], known_at: datetime) -> list[NewestLoad]:
    """Return each tenant's newest load recorded by `known_at`; tenants without a load are left out."""
    return reader.typed(NewestLoad, _NEWEST_LOADS, {"tenants": list(tenant_ids), "known_at": known_at})


_LAST_COMPLETE = """
select max(recorded_at) from loads
where list_contains($tenants, tenant_id) and operation = $operation and complete
    and recorded_at < $before and recorded_at <= $known_at
"""


def last_complete_load(
    reader: Reader, tenant_ids: Sequence[str], operation: str, *, before: datetime, known_at: datetime
) -> datetime | None:
    """Return the time of the operation's last complete load of any of the tenants before `before`; None if none."""
    parameters = {"tenants": list(tenant_ids), "operation": operation, "before": before, "known_at": known_at}
    return _moment(reader, _LAST_COMPLETE, parameters)


_FIRST_BALANCE = """
select min(as_of) from balances where list_contains($tenants, tenant_id) and recorded_at <= $known_at
"""


def first_balance_at(reader: Reader, tenant_ids: Sequence[str], known_at: datetime) -> datetime | None:
    """Return the bank's date of the earliest balance of these tenants."""
    return _moment(reader, _FIRST_BALANCE, {"tenants": list(tenant_ids), "known_at": known_at})


def _moment(reader: Reader, query: str, parameters: dict[str, Any]) -> datetime | None:
    found: list[datetime | None] = reader.typed(lambda moment: moment, query, parameters)
    return found[0]


# The last balance of each linked account up to each end, as one row number, then carried to the next end that has one: an
# inequality join of accounts and days takes minutes. Accounts are numbered, because grouping by text costs twice as much.
# Whole and fractional parts are summed separately: together they may have more digits than the ledger's type.
_TOTALS_BY_DAY = """
with days as (
    select unnest($ends::timestamptz[]) as day_end, generate_subscripts($ends::timestamptz[], 1) as day
),
linked as (
    select
        a.tenant_id, a.account_id, row_number() over (order by a.tenant_id, a.account_id) as number,
        dense_rank() over (order by a.tenant_id, i.canonical_id) as bank_account,
        least(a.disabled_at, a.deleted_at) as hidden_at,
        coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') in ('loan', 'unclassified') as is_apart
    from accounts_as_of($known_at) a
    join account_identity_as_of($known_at) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
    where list_contains($tenants, a.tenant_id) and i.counts_as is null
),
newest as (
    select
        a.bank_account, a.number, a.hidden_at, a.is_apart, d.day,
        max(epoch_us(b.as_of)::hugeint * 4294967296 + b.load_id) as key,
        arg_max(b.rowid, epoch_us(b.as_of)::hugeint * 4294967296 + b.load_id) as newest
    from balances b
    join linked a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
    asof join days d on counts_from(b.as_of, b.recorded_at) <= d.day_end
    where b.recorded_at <= $known_at
    group by all
),
figures as (
    select
        n.*, b.as_of, b.currency, b.current_balance,
        lead(n.day, 1, len($ends) + 1) over (partition by n.number order by n.day) as next_day
    -- A balance dated ahead stands before those of an earlier date that are learnt later.
    from (
        select * replace (
            arg_max(newest, key) over (partition by number order by day rows unbounded preceding) as newest
        ) from newest
    ) n
    join balances b on b.rowid = n.newest
),
closings as (
    select d.day, f.currency, f.current_balance, f.is_apart
    from (select *, unnest(range(day, next_day)) as carried_to from figures) f
    join days d on d.day = f.carried_to and (f.hidden_at is null or f.hidden_at > d.day_end)
    qualify row_number() over (partition by f.bank_account, d.day order by f.as_of desc, f.number desc) = 1
)
select
    currency, day - 1, sum(trunc(current_balance)::hugeint), sum(current_balance - trunc(current_balance))
from closings
where not is_apart
group by currency, day
order by currency, day
"""


def totals_by_day(
    reader: Reader, tenant_ids: Sequence[str], ends: Sequence[datetime], known_at: datetime
) -> dict[str, list[Decimal | None]]:
    """Return the total at each time, by currency, as `cash_position` computes it; None where no account has a balance.

    Args:
        ends: The times, ascending; at least one.
    """
    totals: dict[str, list[Decimal | None]] = {}
    for total in reader.typed(
        DayTotal, _TOTALS_BY_DAY, {"tenants": list(tenant_ids), "ends": list(ends), "known_at": known_at}
    ):
        by_day = totals.setdefault(total.currency, [None] * len(ends))
        by_day[total.day] = EXACT.add(Decimal(total.whole), total.fraction)
    return totals
