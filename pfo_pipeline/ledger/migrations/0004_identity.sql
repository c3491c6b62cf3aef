-- One bank account may be seen through several connections, or come back under a new id of Powens: which ones are the same.
-- Decided when read, so that a decision can be undone: each linked account keeps its own rows.

create table identities (
    tenant_id varchar not null,
    account_id varchar not null,
    same_as varchar not null,
    evidence varchar not null,
    decided_by varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create view account_identity as
    select a.tenant_id, a.account_id, coalesce(i.same_as, a.account_id) as canonical_id, i.evidence, i.decided_by
    from (select distinct tenant_id, account_id from accounts) a
    left join (
        from identities where decided_by <> 'proposed'
        qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
    ) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id;

create view identities_proposed as
    select p.tenant_id, p.account_id, p.same_as, p.evidence, p.recorded_at
    from identities p
    where p.decided_by = 'proposed' and not exists (
        from identities d where d.decided_by <> 'proposed' and d.tenant_id = p.tenant_id and d.account_id = p.account_id
    )
    qualify row_number() over (partition by p.tenant_id, p.account_id order by p.load_id desc) = 1;

-- Each bank account once, by the newest figure of those through which it is seen.
create or replace view positions as
    select
        a.tenant_id,
        a.user_id,
        a.institution_name,
        i.canonical_id as account_id,
        a.display_name,
        a.account_type,
        coalesce(b.currency, a.currency) as currency,
        b.current_balance,
        b.available_balance,
        b.as_of,
        b.recorded_at,
        a.connection_id,
        c.status as connection_status,
        c.state as connection_state,
        list_sort(list(a.connection_id) over (partition by a.tenant_id, i.canonical_id)) as linked_through
    from accounts_latest a
    join account_identity i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join balances_latest b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
    left join connections_latest c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
    where a.disabled_at is null and a.deleted_at is null
    qualify row_number() over (
        partition by a.tenant_id, i.canonical_id order by b.as_of desc nulls last, a.account_id desc
    ) = 1;

create or replace view totals as
    select
        tenant_id,
        currency,
        count(*) as accounts,
        sum(current_balance) filter (where not is_loan) as current_balance,
        sum(current_balance) filter (where is_loan) as loans,
        min(as_of) as oldest_as_of
    from (
        select *, account_type in ('loan', 'mortgage', 'consumercredit', 'revolvingcredit') as is_loan
        from positions
        where as_of is not null
    )
    group by tenant_id, currency;

-- Each linked account by itself: what balances_as_of and cash_position put together. Only the number of the newest row goes
-- through the aggregation, not the row; its key is one scalar, the date and of that date what was learnt last: a pair is
-- seven times slower.
create macro linked_balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select b.*
    from balances b
    join (
        select arg_max(rowid, epoch_us(as_of)::hugeint * 4294967296 + load_id) as newest
        from balances
        where as_of <= "at" and recorded_at <= known_at
        group by tenant_id, account_id
    ) n on n.newest = b.rowid;

-- account_identity, by what had been decided at a moment.
create macro account_identity_as_of(known_at) as table
    select a.tenant_id, a.account_id, coalesce(i.same_as, a.account_id) as canonical_id
    from (select distinct tenant_id, account_id from accounts) a
    left join (
        from identities where decided_by <> 'proposed' and recorded_at <= known_at
        qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
    ) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id;

create or replace macro balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select
        b.tenant_id,
        coalesce(i.canonical_id, b.account_id) as account_id,
        b.as_of, b.recorded_at, b.currency, b.current_balance, b.available_balance, b.run_id
    from linked_balances_as_of("at", known_at := known_at) b
    left join account_identity_as_of(known_at) i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
    qualify row_number() over (
        partition by b.tenant_id, coalesce(i.canonical_id, b.account_id) order by b.as_of desc, b.account_id desc
    ) = 1;

-- Which accounts count is asked of the latest that was known, since an account may be older than our knowledge of it.
create or replace macro cash_position("at", known_at := 'infinity'::timestamptz) as table
    select
        tenant_id,
        currency,
        sum(current_balance) filter (where not is_loan) as total,
        sum(current_balance) filter (where is_loan) as loans,
        count(*) as accounts,
        min(as_of) as oldest_as_of
    from (
        select
            b.tenant_id, b.currency, b.current_balance, b.as_of,
            a.account_type in ('loan', 'mortgage', 'consumercredit', 'revolvingcredit') as is_loan
        from linked_balances_as_of("at", known_at := known_at) b
        join accounts_as_of(known_at) a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
        join account_identity_as_of(known_at) i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
        where (a.disabled_at is null or a.disabled_at > "at") and (a.deleted_at is null or a.deleted_at > "at")
        qualify row_number() over (
            partition by b.tenant_id, i.canonical_id order by b.as_of desc, b.account_id desc
        ) = 1
    )
    group by tenant_id, currency;

create or replace macro balance_history(account) as table
    select *, lead(recorded_at) over (partition by tenant_id, account_id, as_of order by load_id) as superseded_at
    from balances
    -- One list of ids, which rules blocks out; with an "or" all of the history would be read.
    where account_id in (
        select account union all select i.account_id from account_identity i where i.canonical_id = account
    )
    order by as_of, load_id;
