-- Any other moment than the latest: what held at one moment, by what we knew at another.
-- Enter the schema first (use): a macro names its tables without one, since the file has more than one catalog name.

-- The default of known_at is all that is known: a default of now() would be the moment at which the macro was made.
create macro balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select tenant_id, account_id, r.as_of, r.recorded_at, r.currency, r.current_balance, r.available_balance, r.run_id
    from (
        select
            tenant_id,
            account_id,
            arg_max(
                {
                    'as_of': as_of, 'recorded_at': recorded_at, 'currency': currency,
                    'current_balance': current_balance, 'available_balance': available_balance, 'run_id': run_id
                },
                -- One scalar: the newest date, and of that date what was learnt last. A pair is seven times slower.
                epoch_us(as_of)::hugeint * 4294967296 + load_id
            ) as r
        from balances
        where as_of <= "at" and recorded_at <= known_at
        group by tenant_id, account_id
    );

create macro accounts_as_of("at") as table
    select * exclude (superseded_at)
    from accounts_history
    where recorded_at <= "at" and (superseded_at is null or superseded_at > "at");

-- Which accounts count is asked of the latest that was known, since an account may be older than our knowledge of it.
create macro cash_position("at", known_at := 'infinity'::timestamptz) as table
    select
        b.tenant_id,
        b.currency,
        sum(b.current_balance) as total,
        count(*) as accounts,
        min(b.as_of) as oldest_as_of
    from balances_as_of("at", known_at := known_at) b
    join accounts_as_of(known_at) a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
    where (a.disabled_at is null or a.disabled_at > "at") and (a.deleted_at is null or a.deleted_at > "at")
    group by b.tenant_id, b.currency;

create macro balance_history(account) as table
    select *, lead(recorded_at) over (partition by tenant_id, account_id, as_of order by load_id) as superseded_at
    from balances
    where account_id = account
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

-- Loans apart, and an account that two members have linked (same IBAN) once, by its newest figure.
create view totals as
    select
        tenant_id,
        currency,
        count(*) as accounts,
        sum(current_balance) filter (where not is_loan) as current_balance,
        sum(current_balance) filter (where is_loan) as loans,
        min(as_of) as oldest_as_of
    from (
        select
            p.tenant_id,
            p.currency,
            p.current_balance,
            p.as_of,
            p.account_type in ('loan', 'mortgage', 'consumercredit', 'revolvingcredit') as is_loan
        from positions p
        join accounts_latest a on a.tenant_id = p.tenant_id and a.account_id = p.account_id
        where p.as_of is not null
        qualify row_number() over (
            partition by p.tenant_id, coalesce(a.iban, p.account_id), p.currency order by p.as_of desc, p.account_id desc
        ) = 1
    )
    group by tenant_id, currency;
