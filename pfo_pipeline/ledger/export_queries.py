"""What an export reads of one tenant ($tenant): figures up to one moment ($as_of), by what was known at another ($known_at).

Not here: files (export.py, beancount.py).
"""

from pfo_pipeline.contracts.tables import LOAN_TYPES

# As the views and macros of these names, for one tenant and at the two moments. What is the same bank account, too, is asked
# of what was known then: a decision of today does not change what was exported before.
IDENTITIES = """
    select account_id, same_as from identities
    where tenant_id = $tenant and decided_by <> 'proposed' and recorded_at <= $known_at::timestamptz
    qualify row_number() over (partition by account_id order by load_id desc) = 1
"""
_CONNECTIONS = """
    select * from connections where tenant_id = $tenant and recorded_at <= $known_at::timestamptz
    qualify row_number() over (partition by connection_id order by load_id desc) = 1
"""
_ACCOUNTS = f"""
    select a.*, coalesce(i.same_as, a.account_id) as canonical_id
    from (
        select * from accounts where tenant_id = $tenant and recorded_at <= $known_at::timestamptz
        qualify row_number() over (partition by account_id order by load_id desc) = 1
    ) a
    left join ({IDENTITIES}) i on i.account_id = a.account_id
"""
# One scalar, the newest date and of that date what was learnt last: see the macro linked_balances_as_of.
_BALANCES = """
    select b.* from balances b join (
        select arg_max(rowid, epoch_us(as_of)::hugeint * 4294967296 + load_id) as newest
        from balances where tenant_id = $tenant and as_of <= $as_of::timestamptz and recorded_at <= $known_at::timestamptz
        group by account_id
    ) n on n.newest = b.rowid
"""
POSITIONS = f"""
    select
        a.tenant_id, a.user_id, a.institution_name, a.canonical_id as account_id, a.display_name, a.account_type,
        coalesce(b.currency, a.currency) as currency, b.current_balance, b.available_balance, b.as_of,
        b.recorded_at, a.connection_id, c.status as connection_status, c.state as connection_state,
        list_sort(list(a.connection_id) over (partition by a.canonical_id)) as linked_through
    from ({_ACCOUNTS}) a
    left join ({_BALANCES}) b on b.account_id = a.account_id
    left join ({_CONNECTIONS}) c on c.connection_id = a.connection_id
    where (a.disabled_at is null or a.disabled_at > $as_of::timestamptz)
        and (a.deleted_at is null or a.deleted_at > $as_of::timestamptz)
    qualify row_number() over (
        partition by a.canonical_id order by b.as_of desc nulls last, a.account_id desc
    ) = 1
"""
QUERIES = {
    "accounts": f"{_ACCOUNTS} order by a.account_id",
    "connections": f"{_CONNECTIONS} order by connection_id",
    "balances": """
        select *, lead(recorded_at) over (partition by account_id, as_of order by load_id) as superseded_at
        from balances where tenant_id = $tenant and as_of <= $as_of::timestamptz and recorded_at <= $known_at::timestamptz
        order by account_id, as_of, load_id
    """,
    "positions": f"select * from ({POSITIONS}) order by account_id",
    "totals": f"""
        select
            tenant_id,
            currency,
            count(*) as accounts,
            sum(current_balance) filter (where not is_loan) as current_balance,
            sum(current_balance) filter (where is_loan) as loans,
            min(as_of) as oldest_as_of
        from (
            select *, account_type in {LOAN_TYPES} as is_loan
            from ({POSITIONS})
            where as_of is not null
        )
        group by tenant_id, currency
        order by currency
    """,
}
