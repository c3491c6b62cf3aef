-- Views and macros. Every migration makes all of them anew (schema.py), so each is defined once, here.
-- They name their tables without a schema, since the file is opened under more than one catalog name: enter the schema first
-- (`use`). The default of known_at is everything known: now() would be the moment at which the macro was made.

create view users_latest as
    from users
    qualify row_number() over (partition by tenant_id, user_id order by load_id desc) = 1;

create view connections_latest as
    from connections
    qualify row_number() over (partition by tenant_id, connection_id order by load_id desc) = 1;

create view accounts_latest as
    from accounts
    qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1;

create view accounts_history as
    select *, lead(recorded_at) over (partition by tenant_id, account_id order by load_id) as superseded_at
    from accounts;

create view balances_latest as
    from balances_current;

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
create view positions as
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

create view totals as
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

create view runs as
    select
        run_id,
        tenant_id,
        operation,
        min(recorded_at) as first_load_at,
        max(recorded_at) as last_load_at,
        max(attempt) as attempts,
        bool_or(complete) as complete,
        sum(added)::bigint as added,
        arg_max(synced, load_id) as synced,
        arg_max(failed, load_id) as failed
    from loads
    group by all;

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

create macro balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select
        b.tenant_id,
        coalesce(i.canonical_id, b.account_id) as account_id,
        b.as_of, b.recorded_at, b.currency, b.current_balance, b.available_balance, b.run_id
    from linked_balances_as_of("at", known_at := known_at) b
    left join account_identity_as_of(known_at) i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
    qualify row_number() over (
        partition by b.tenant_id, coalesce(i.canonical_id, b.account_id) order by b.as_of desc, b.account_id desc
    ) = 1;

create macro accounts_as_of("at") as table
    select * exclude (superseded_at)
    from accounts_history
    where recorded_at <= "at" and (superseded_at is null or superseded_at > "at");

-- Which accounts count is asked of the latest that was known, since an account may be older than our knowledge of it.
create macro cash_position("at", known_at := 'infinity'::timestamptz) as table
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

create macro balance_history(account) as table
    select *, lead(recorded_at) over (partition by tenant_id, account_id, as_of order by load_id) as superseded_at
    from balances
    -- One list of ids, which rules blocks out; with an "or" all of the history would be read.
    where account_id in (
        select account union all select i.account_id from account_identity i where i.canonical_id = account
    )
    order by as_of, load_id;

create macro restatements(since) as table
    select
        tenant_id,
        account_id,
        as_of,
        currency,
        said_before,
        current_balance as says_now,
        current_balance - said_before as difference,
        recorded_at,
        run_id
    from (
        select *, lag(current_balance) over (partition by tenant_id, account_id, as_of order by load_id) as said_before
        from balances
    )
    where recorded_at >= since and said_before is not null and said_before <> current_balance
    order by recorded_at, tenant_id, account_id;

create macro freshness("at") as table
    select tenant_id, account_id, institution_name, display_name, as_of, "at" - as_of as age, connection_status
    from positions
    order by as_of nulls first;
