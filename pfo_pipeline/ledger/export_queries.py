"""Queries of an export: one tenant ($tenant), balances up to a moment ($as_of), as known at another ($known_at)."""

# As the views and macros of these names, for one tenant and at the two moments. What is the same bank account, too, is asked
# of what was known then: a decision of today does not change what was exported before.
IDENTITIES = """
    select account_id, same_as, counts_as, account_class from identities
    where tenant_id = $tenant and decided_by <> 'proposed' and recorded_at <= $known_at::timestamptz
    qualify row_number() over (partition by account_id order by load_id desc) = 1
"""
_CONNECTIONS = """
    select * from connections where tenant_id = $tenant and recorded_at <= $known_at::timestamptz
    qualify row_number() over (partition by connection_id order by load_id desc) = 1
"""
_ACCOUNTS = f"""
    select
        a.*, coalesce(i.same_as, a.account_id) as canonical_id, i.counts_as,
        coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class
    from (
        select * from accounts where tenant_id = $tenant and recorded_at <= $known_at::timestamptz
        qualify row_number() over (partition by account_id order by load_id desc) = 1
    ) a
    left join ({IDENTITIES}) i on i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
"""
# One scalar, the newest date and of that date what was learnt last: see the macro linked_balances_as_of.
_BALANCES = """
    select b.* from balances b join (
        select arg_max(rowid, epoch_us(as_of)::hugeint * 4294967296 + load_id) as newest
        from balances
        where tenant_id = $tenant and counts_from(as_of, recorded_at) <= $as_of::timestamptz
            and recorded_at <= $known_at::timestamptz
        group by account_id
    ) n on n.newest = b.rowid
"""
POSITIONS = f"""
    select
        a.tenant_id, a.user_id, a.institution_name, a.canonical_id as account_id, a.display_name, a.account_type,
        coalesce(b.currency, a.currency) as currency, b.current_balance, b.available_balance, b.as_of,
        b.recorded_at, a.connection_id, c.status as connection_status, c.state as connection_state,
        list_sort(list(a.connection_id) over (partition by a.canonical_id)) as linked_through,
        a.account_class, a.missing_since, a.account_id as linked_id
    from ({_ACCOUNTS}) a
    left join ({_BALANCES}) b on b.account_id = a.account_id
    left join ({_CONNECTIONS}) c on c.connection_id = a.connection_id
    where (a.disabled_at is null or a.disabled_at > $as_of::timestamptz)
        and (a.deleted_at is null or a.deleted_at > $as_of::timestamptz)
        and a.counts_as is null
    qualify row_number() over (
        partition by a.canonical_id order by b.as_of desc nulls last, a.account_id desc
    ) = 1
"""
QUERIES = {
    "accounts": f"select * exclude (counts_as, account_class) from ({_ACCOUNTS}) order by account_id",
    "connections": f"{_CONNECTIONS} order by connection_id",
    "balances": """
        select *, lead(recorded_at) over (partition by account_id, as_of order by load_id) as superseded_at
        from balances
        where tenant_id = $tenant and counts_from(as_of, recorded_at) <= $as_of::timestamptz
            and recorded_at <= $known_at::timestamptz
        order by account_id, as_of, load_id
    """,
    "positions": f"select * from ({POSITIONS}) order by account_id",
    "totals": f"""
        select
            tenant_id,
            currency,
            count(*) filter (where account_class not in ('loan', 'unclassified')) as accounts,
            total_of(current_balance, account_class not in ('loan', 'unclassified')) as current_balance,
            total_of(current_balance, account_class = 'loan') as loans,
            min(as_of) filter (where account_class not in ('loan', 'unclassified')) as oldest_as_of,
            total_of(current_balance, account_class = 'cash') as cash,
            total_of(current_balance, account_class = 'savings') as savings,
            total_of(current_balance, account_class = 'card') as cards,
            total_of(current_balance, account_class = 'investments') as investments,
            total_of(current_balance, account_class = 'insurance') as insurance,
            total_of(current_balance, account_class = 'crypto') as crypto,
            total_of(current_balance, account_class = 'unclassified') as unclassified,
            coalesce(total_of(abs(current_balance), is_proposed), 0)::decimal(38,10) as possibly_double
        from (
            select p.*, (p.tenant_id, p.account_id) in (
                select (o.tenant_id, o.account_id)
                from proposals_as_of($known_at::timestamptz) o
                join ({POSITIONS}) q
                    on q.tenant_id = o.tenant_id and q.account_id = o.other_id and q.as_of is not null
            ) as is_proposed
            from ({POSITIONS}) p
            where p.as_of is not null
        )
        group by tenant_id, currency
        order by currency
    """,
}
