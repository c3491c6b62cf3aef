"""Queries of the asset checks: invariants of every ledger, and the state of all tenants.

The merge and the mapping already enforce the invariants. These queries read the file itself, so that a defect, or a change
from outside, stops the run. Rows are recorded in the order of time, so a lower bound on `recorded_at` skips older blocks.
"""

from collections.abc import Mapping

_IDS_ARE_UNIQUE = """
select account_id as subject, 'is there ' || count(*) || ' times in load ' || load_id
from accounts where tenant_id = $tenant and run_id = $run group by account_id, load_id having count(*) > 1
union all
select account_id, 'has ' || count(*) || ' newest balances'
from balances_current where tenant_id = $tenant group by account_id having count(*) > 1
union all
select min(account_id), 'is the same account of Powens as ' || max(account_id)
from accounts_latest where tenant_id = $tenant group by source_id having count(*) > 1
order by all
"""

_BALANCES_HAVE_ACCOUNTS = """
select b.account_id as subject, 'has a balance and is no account of the tenant'
from balances_current b
where b.tenant_id = $tenant
    and not exists (from accounts a where a.tenant_id = b.tenant_id and a.account_id = b.account_id)
order by all
"""

# A bank's clock may be ahead of ours by up to a day: the mapping accepts dates up to that limit (powens/mapping.py).
_NOT_IN_THE_FUTURE = """
select account_id as subject, 'its balance is dated more than a day after it was recorded'
from balances_current where tenant_id = $tenant and as_of > recorded_at + interval 1 day
order by all
"""

_CURRENCIES_ARE_STABLE = """
with written as (
    select account_id, min(load_id) as load_id, arg_max(currency, load_id) as currency
    from balances where tenant_id = $tenant and run_id = $run group by account_id
)
select w.account_id as subject, w.currency
from written w
join balances b on b.tenant_id = $tenant and b.account_id = w.account_id and b.load_id < w.load_id
group by w.account_id, w.currency
having arg_max(b.currency, b.load_id) <> w.currency
order by all
"""

# Uses other SQL than the totals do: it compares the amounts per currency with those of the coverage, and checks that the
# coverage has every account that a bank ever sent.
_ACCOUNTS_ARE_COVERED = """
with covered as (from coverage where tenant_id = $tenant),
counted as (select currency, total_of(current_balance, true) as amount from covered where counted group by currency),
total as (
    select currency, current_balance as amount from totals where tenant_id = $tenant and current_balance is not null
),
sent as (
    select account_id as subject, source_id from accounts where tenant_id = $tenant
    union
    select 'quarantined', source_id from quarantine where tenant_id = $tenant and record = 'account' and source_id is not null
)
select coalesce(c.currency, t.currency) as subject,
    'counted accounts have ' || coalesce(c.amount, 0) || ', the total says ' || coalesce(t.amount, 0)
from counted c full join total t on t.currency = c.currency
where coalesce(c.amount, 0) <> coalesce(t.amount, 0)
union all
select min(subject), 'account ' || source_id || ' of Powens is neither counted nor has a reason'
from sent where source_id not in (select source_id from covered where source_id is not null)
group by source_id
union all
select coalesce(linked_id, source_id, 'quarantined'), 'is not counted and has no reason, or is counted with one'
from covered where counted = (reason is not null)
order by all
"""

INVARIANTS: Mapping[str, str] = {
    "ids_are_unique": _IDS_ARE_UNIQUE,
    "balances_have_accounts": _BALANCES_HAVE_ACCOUNTS,
    "no_balance_is_in_the_future": _NOT_IN_THE_FUTURE,
    "currencies_are_stable": _CURRENCIES_ARE_STABLE,
    "accounts_are_counted_or_named": _ACCOUNTS_ARE_COVERED,
}
"""Queries by the sentence that is true while the query returns nothing. `currencies_are_stable` returns the new currency as
its problem, because only the configuration knows whether the currency is allowed.
"""


DATED_BALANCES = """
select
    p.tenant_id, p.account_id, p.institution_name, p.account_type, p.account_class, p.currency, p.current_balance,
    p.connection_id, c.status as connection_status,
    case when u.status = 'not_configured' then 'operator' else c.who_acts end,
    case when not c.active then 'paused' when c.consent_expires_at is null then 'credentials' else 'consent' end,
    p.as_of, c.last_success_at, p.recorded_at, u.status is distinct from 'not_configured'
from positions p
left join connections_latest c on c.tenant_id = p.tenant_id and c.connection_id = p.connection_id
left join users_latest u on u.tenant_id = p.tenant_id and u.user_id = p.user_id
where list_contains($tenants, p.tenant_id)
order by p.tenant_id, p.account_id
"""

LAST_LOADS = """
select tenant_id, max(recorded_at) from loads
where list_contains($tenants, tenant_id) and operation = $operation and complete
group by all order by all
"""

LOADS_AFTER = """
select tenant_id, count(*), max(recorded_at) from loads where recorded_at > $after group by all order by all
"""

# The last balance of an account on each day, oldest first, as known now.
DAILY_BALANCES = """
select account_id, list(current_balance order by day)
from (
    select i.canonical_id as account_id, b.as_of::date as day, b.current_balance
    from balances b join account_identity i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
    where b.tenant_id = $tenant and b.recorded_at > $since and b.as_of > $since and i.counts_as is null
    qualify row_number() over (
        partition by i.canonical_id, b.as_of::date order by b.as_of desc, b.load_id desc, b.account_id desc
    ) = 1
)
group by account_id
order by account_id
"""

CONSENTS_UNTIL = """
select distinct tenant_id from connections_latest
where (tenant_id, user_id) not in (select (tenant_id, user_id) from users_latest where status = 'not_configured')
    and list_contains($tenants, tenant_id) and status <> 'gone' and consent_expires_at <= $until
order by 1
"""

DRIFT_SINCE = """
select tenant_id, field, value, min(recorded_at) from drift
where list_contains($tenants, tenant_id) group by all having min(recorded_at) >= $since
order by all
"""

# The sum of the enabled accounts at the end of each day, without loans, as known now. The look-back limits the history that is
# read; an account without a newer balance keeps its newest one.
TOTALS_BY_DAY = """
with days as (select $now::timestamptz - to_days($days - 1 - d::int) as day from range($days) t(d)),
known as (
    select tenant_id, account_id, as_of, current_balance, load_id from balances
    where tenant_id = $tenant and recorded_at > $since
    union all
    select tenant_id, account_id, as_of, current_balance, load_id from balances_current where tenant_id = $tenant
),
figures as (
    -- A balance dated ahead counts now, as everywhere.
    select
        i.canonical_id as account_id, least(k.as_of, $now::timestamptz) as as_of,
        arg_max(k.current_balance, (k.as_of, k.load_id)) as current_balance
    from known k join account_identity i on i.tenant_id = k.tenant_id and i.account_id = k.account_id
    where i.counts_as is null
    group by all
)
select currency, list(total order by day)
from (
    select p.currency, d.day, sum(f.current_balance) as total
    from positions p
    cross join days d
    asof join figures f on f.account_id = p.account_id and f.as_of <= d.day
    where p.tenant_id = $tenant and p.account_class not in ('loan', 'unclassified')
    group by all
)
group by currency order by currency
"""
