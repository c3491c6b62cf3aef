"""Rules that every ledger keeps, each a query for what breaks it: cheap enough to be asked after each step of a run.

The merge and the mapping keep them; this asks the file itself, so that a mistake there, or a file that was changed from
outside, stops the run that meets it. Not here: the proof of every row (verify.py), what follows from a violation (defs/).
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

# A bank may be ahead of our clock by up to a day: so far the mapping takes a date (powens/mapping.py).
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

# By other SQL than that of the totals: what the coverage counts, per currency; and every account that a bank ever sent.
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
"""By the sentence that is true while nothing is found. `currencies_are_stable` tells the new currency as its problem: whether
it is allowed, the configuration knows."""
