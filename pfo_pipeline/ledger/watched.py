"""What is watched of any number of tenants at once: ages of figures, consents, drift; and how balances moved.

Here: the queries. Not here: what is too old (operations/freshness.py), what is no plausible move (operations/plausibility.py).
Rows are recorded in the order of time, so a bound on `recorded_at` rules out all older blocks of the history.
"""

FIGURES = """
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

# The newest date that was known at each moment, `$days` of them, a day apart, the last one `$now`; null before the account
# was known, and far back where nothing was recorded within the look-back: that figure was older than any limit.
AGES_BY_DAY = """
with moments as (select $now::timestamptz - to_days($days - 1 - d::int) as moment from range($days) t(d)),
seen as (
    select a.tenant_id, i.canonical_id as account_id, min(a.recorded_at) as first_at
    from accounts a join account_identity i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    where list_contains($tenants, a.tenant_id)
    group by all
),
known as (
    select
        b.tenant_id, i.canonical_id as account_id, b.recorded_at,
        max(b.as_of) over (
            partition by b.tenant_id, i.canonical_id order by b.recorded_at rows unbounded preceding
        ) as as_of
    from balances b join account_identity i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
    where list_contains($tenants, b.tenant_id) and b.recorded_at > $since
),
wanted as (
    select p.tenant_id, p.account_id, s.first_at, m.moment
    from positions p
    join seen s on s.tenant_id = p.tenant_id and s.account_id = p.account_id
    cross join moments m
    where list_contains($tenants, p.tenant_id)
)
select
    w.tenant_id, w.account_id,
    list(
        case when w.moment >= w.first_at then epoch(w.moment - coalesce(k.as_of, $since::timestamptz))::bigint end
        order by w.moment
    )
from wanted w
asof left join known k
    on k.tenant_id = w.tenant_id and k.account_id = w.account_id and k.recorded_at <= w.moment
group by all
order by all
"""

LAST_LOADS = """
select tenant_id, max(recorded_at) from loads
where list_contains($tenants, tenant_id) and operation = $operation and complete
group by all order by all
"""

LOADS_AFTER = """
select tenant_id, count(*), max(recorded_at) from loads where recorded_at > $after group by all order by all
"""

# The last figure of each day of an account, oldest first, as it is known now.
CLOSINGS = """
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

# What the enabled accounts added up to at the end of each day, loans apart, by what is known now. The look-back bounds the
# history that is read; an account that has been silent for longer has its newest figure.
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
