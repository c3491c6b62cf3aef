"""Queries of an export: one tenant ($tenant), balances up to $as_of, as known at $known_at."""

# Like the views of these names, for one tenant and the two times.
_CONNECTIONS = """
    select * from connections where tenant_id = $tenant and recorded_at <= $known_at::timestamptz
    qualify row_number() over (partition by connection_id order by load_id desc) = 1
"""
POSITIONS = f"""
    select
        l.tenant_id, l.user_id, l.institution_name, l.account_id, l.display_name, l.account_type, l.currency,
        l.current_balance, l.available_balance, l.as_of, l.recorded_at,
        l.connection_id, c.status as connection_status, c.state as connection_state,
        list_sort(list(l.connection_id) over (partition by l.account_id)) as linked_through,
        l.account_class, l.missing_since, l.linked_id
    from links_as_of($as_of::timestamptz, known_at := $known_at::timestamptz) l
    left join ({_CONNECTIONS}) c on c.connection_id = l.connection_id
    where l.tenant_id = $tenant and l."out" is null
    qualify row_number() over (partition by l.account_id order by l.as_of desc nulls last, l.linked_id desc) = 1
"""
QUERIES = {
    "accounts": """
        select a.*, i.canonical_id
        from accounts_as_of($known_at::timestamptz) a
        join account_identity_as_of($known_at::timestamptz) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
        where a.tenant_id = $tenant order by a.account_id
    """,
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
