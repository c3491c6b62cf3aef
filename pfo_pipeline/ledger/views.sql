-- Views and macros. Every migration recreates all of them (schema.py), so each is defined once, here.
-- Tables are named without a schema, because the file is opened under more than one catalog name: enter the schema first
-- (`use`). The default of known_at is infinity, which means everything known: now() would be the time when the macro was
-- created.

-- The argument of a macro is a time or a date. A date is a DATE, or a text such as '2026-06-30', and means the end of that
-- day in the tenant's own time zone.
create macro is_date(moment) as
    typeof(moment) = 'DATE' or (typeof(moment) = 'VARCHAR' and regexp_full_match(moment::varchar, '\d{4}-\d{2}-\d{2}'));

create macro end_in(moment, time_zone) as
    case
        when is_date(moment) then (moment::date + 1)::timestamp at time zone time_zone - interval 1 microsecond
        else moment::timestamptz
    end;

-- The time zone of each tenant as known at a time; before any was known, the first one.
create macro time_zones_as_of(known_at) as table
    select
        tenant_id,
        coalesce(
            arg_max(time_zone, load_id) filter (recorded_at <= end_in(known_at, 'Etc/GMT+12')), arg_min(time_zone, load_id)
        ) as time_zone
    from tenants
    group by tenant_id;

-- For a tenant of an earlier release, whose time zone was not recorded yet: the default of the configuration.
create macro moment_of(moment, known_at, tenant) as
    coalesce(
        (select map(list(z.tenant_id), list(end_in(moment, z.time_zone))) from time_zones_as_of(known_at) z)[tenant],
        end_in(moment, 'Europe/Paris')
    );

-- Whether a time is not after a given time or date. Only times in a date's last hours need the tenant's time zone. The first
-- line skips blocks of a table. It is written twice so that, for a time, DuckDB reduces all of this to one condition.
create macro is_by("time", moment, known_at, tenant) as
    "time" <= end_in(moment, 'Etc/GMT+12')
    and (
        "time" <= end_in(moment, 'Etc/GMT-14')
        or ("time" <= end_in(moment, 'Etc/GMT+12') and "time" <= moment_of(moment, known_at, tenant))
    );

-- When a balance starts to count: at its date or, if that is in the future, when we recorded it.
create macro counts_from(as_of, recorded_at) as
    least(as_of, recorded_at);

-- A sum of amounts. Rows of 10^18 and more, which an early release accepted, have no sum: the result is null for their group
-- only, whereas DuckDB's own sum would overflow for every group.
create macro total_of(amount, counts) as
    case when bool_and(abs(amount) < 1000000000000000000) filter (counts)
    then sum(if(abs(amount) < 1000000000000000000, amount, null)) filter (counts) end;

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

-- The class of each Powens account type (Powens docs, Bank account types, and types seen live). A type that is missing here is
-- unclassified: it is in no cash total.
create view account_types as
    from (values
        ('checking', 'cash'), ('joint', 'cash'),
        ('savings', 'savings'), ('livret_a', 'savings'), ('livret_b', 'savings'), ('ldds', 'savings'), ('lep', 'savings'),
        ('cel', 'savings'), ('pel', 'savings'), ('csl', 'savings'), ('cat', 'savings'), ('deposit', 'savings'),
        ('card', 'card'),
        ('market', 'investments'), ('pea', 'investments'), ('pee', 'investments'), ('per', 'investments'),
        ('perco', 'investments'), ('perp', 'investments'), ('rsp', 'investments'), ('article83', 'investments'),
        ('madelin', 'investments'), ('crowdlending', 'investments'), ('real_estate', 'investments'),
        ('lifeinsurance', 'insurance'), ('capitalisation', 'insurance'),
        ('loan', 'loan'), ('mortgage', 'loan'), ('consumercredit', 'loan'), ('revolvingcredit', 'loan')
    ) as t(account_type, class);

-- The account of each linked account, as decided at a time, and whether the linked account counts there (counts_as is null).
create macro account_identity_as_of(known_at) as table
    select
        a.tenant_id, a.account_id, coalesce(i.same_as, a.account_id) as canonical_id,
        i.evidence, i.decided_by, i.counts_as, i.others, i.account_class
    from (select distinct tenant_id, account_id from accounts) a
    left join (
        from identities where decided_by <> 'proposed' and is_by(recorded_at, known_at, known_at, tenant_id)
        qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
    ) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id;

create view account_identity as
    from account_identity_as_of('infinity'::timestamptz);

-- Ids that are no longer the id of an account, and the account to which each leads now.
create view account_aliases as
    select tenant_id, account_id as alias_id, canonical_id as account_id
    from account_identity
    where account_id <> canonical_id;

create macro proposals_as_of(known_at) as table
    select tenant_id, account_id, other_id, evidence, recorded_at
    from (
        from account_proposals where is_by(recorded_at, known_at, known_at, tenant_id)
        qualify row_number() over (partition by tenant_id, account_id, other_id order by load_id desc) = 1
    )
    where state = 'open'
    union all by name
    -- Release 0.1.0 wrote its proposals into identities.
    select p.tenant_id, p.account_id, p.same_as as other_id, p.evidence, p.recorded_at
    from identities p
    where p.decided_by = 'proposed' and is_by(p.recorded_at, known_at, known_at, p.tenant_id)
        and not exists (
            from identities d
            where d.decided_by <> 'proposed' and d.tenant_id = p.tenant_id and d.account_id = p.account_id
                and is_by(d.recorded_at, known_at, known_at, d.tenant_id)
        )
        and not exists (
            from account_proposals n
            where n.tenant_id = p.tenant_id and n.account_id = p.account_id and n.other_id = p.same_as
                and is_by(n.recorded_at, known_at, known_at, n.tenant_id)
        )
    qualify row_number() over (partition by p.tenant_id, p.account_id order by p.load_id desc) = 1;

-- The name of this view in 0.1.0.
create view identities_proposed as
    select tenant_id, account_id, other_id as same_as, evidence, recorded_at
    from proposals_as_of('infinity'::timestamptz);

-- Each account once, with the newest balance of the links that count.
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
        list_sort(list(a.connection_id) over (partition by a.tenant_id, i.canonical_id)) as linked_through,
        coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class,
        a.missing_since,
        a.account_id as linked_id
    from accounts_latest a
    join account_identity i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
    left join balances_latest b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
    left join connections_latest c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
    where a.disabled_at is null and a.deleted_at is null and i.counts_as is null
    qualify row_number() over (
        partition by a.tenant_id, i.canonical_id order by b.as_of desc nulls last, a.account_id desc
    ) = 1;

create view totals as
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
            from proposals_as_of('infinity'::timestamptz) o
            join positions q on q.tenant_id = o.tenant_id and q.account_id = o.other_id and q.as_of is not null
        ) as is_proposed
        from positions p
        where p.as_of is not null
    )
    group by tenant_id, currency;

-- The records in quarantine at a time, each once with its last reason.
create macro quarantine_as_of(known_at) as table
    from (
        from quarantine where is_by(recorded_at, known_at, known_at, tenant_id)
        qualify row_number() over (
            partition by tenant_id, record, user_id, source_id, payload_digest order by load_id desc
        ) = 1
    )
    where state is distinct from 'cleared'
    qualify row_number() over (
        partition by tenant_id, record, user_id, coalesce(source_id, payload_digest) order by load_id desc
    ) = 1;

create view quarantine_latest as
    from quarantine_as_of('infinity'::timestamptz);

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

-- The balance of each linked account, which balances_as_of and cash_position combine. Only the row number of the newest
-- row goes through the aggregation, not the row. Its key is one scalar: the date and, for that date, the load recorded last. A
-- pair as the key is seven times slower.
create macro linked_balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select b.*
    from balances b
    join (
        select arg_max(rowid, epoch_us(as_of)::hugeint * 4294967296 + load_id) as newest
        from balances
        where is_by(counts_from(as_of, recorded_at), "at", known_at, tenant_id) and is_by(recorded_at, known_at, known_at, tenant_id)
        group by tenant_id, account_id
    ) n on n.newest = b.rowid;

create macro balances_as_of("at", known_at := 'infinity'::timestamptz) as table
    select
        b.tenant_id,
        coalesce(i.canonical_id, b.account_id) as account_id,
        b.as_of, b.recorded_at, b.currency, b.current_balance, b.available_balance, b.run_id
    from linked_balances_as_of("at", known_at := known_at) b
    left join account_identity_as_of(known_at) i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
    where i.counts_as is null
    qualify row_number() over (
        partition by b.tenant_id, coalesce(i.canonical_id, b.account_id) order by b.as_of desc, b.account_id desc
    ) = 1;

create macro accounts_as_of("at") as table
    select * exclude (superseded_at)
    from accounts_history
    where is_by(recorded_at, "at", "at", tenant_id)
        and (superseded_at is null or not is_by(superseded_at, "at", "at", tenant_id));

-- Every linked account with its last balance up to a time. The accounts are those known latest, since an account may be older
-- than our knowledge of it. `out` is the reason why a link does not count in its account.
create macro links_as_of("at", known_at := 'infinity'::timestamptz) as table
    select
        a.tenant_id, a.account_id as linked_id, i.canonical_id as account_id, a.source_id, a.user_id, a.connection_id,
        a.institution_name, a.display_name, a.account_type,
        coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class, 'unclassified') as account_class,
        coalesce(b.currency, a.currency) as currency, b.current_balance, b.available_balance, b.as_of, b.recorded_at,
        a.disabled_at, a.deleted_at, a.ended_by, a.missing_since, i.evidence, i.others,
        case
            when is_by(a.deleted_at, "at", known_at, a.tenant_id) then case a.ended_by when 'bank' then 'deleted' when 'operator' then 'ended' else 'gone' end
            when is_by(a.disabled_at, "at", known_at, a.tenant_id) then 'disabled'
            else i.counts_as
        end as "out"
    from accounts_as_of(known_at) a
    join account_identity_as_of(known_at) i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
    left join linked_balances_as_of("at", known_at := known_at) b
        on b.tenant_id = a.tenant_id and b.account_id = a.account_id;

-- Each account that counts at a time, once, by the newest balance of its links.
create macro positions_as_of("at", known_at := 'infinity'::timestamptz) as table
    from links_as_of("at", known_at := known_at)
    where "out" is null
    qualify row_number() over (partition by tenant_id, account_id order by as_of desc nulls last, linked_id desc) = 1;

create macro cash_position("at", known_at := 'infinity'::timestamptz) as table
    select
        tenant_id,
        currency,
        total_of(current_balance, account_class not in ('loan', 'unclassified')) as total,
        total_of(current_balance, account_class = 'loan') as loans,
        count(*) filter (where account_class not in ('loan', 'unclassified')) as accounts,
        min(as_of) filter (where account_class not in ('loan', 'unclassified')) as oldest_as_of,
        total_of(current_balance, account_class = 'cash') as cash,
        total_of(current_balance, account_class = 'unclassified') as unclassified
    from positions_as_of("at", known_at := known_at)
    where as_of is not null
    group by tenant_id, currency;

-- Every linked account that a bank ever sent: counted, or with the one reason why not. Unreadable records are rows too.
create macro coverage_as_of("at", known_at := 'infinity'::timestamptz) as table
    with speaking as (
        select *, row_number() over (
            partition by tenant_id, account_id, "out" is null order by as_of desc nulls last, linked_id desc
        ) = 1 and "out" is null as speaks
        from links_as_of("at", known_at := known_at)
    ),
    users_then as (
        from users where is_by(recorded_at, known_at, known_at, tenant_id)
        qualify row_number() over (partition by tenant_id, user_id order by load_id desc) = 1
    ),
    put_aside as (
        from quarantine where record = 'account' and is_by(recorded_at, known_at, known_at, tenant_id)
        qualify row_number() over (
            partition by tenant_id, coalesce(source_id, payload_digest)
            order by load_id desc, state is distinct from 'cleared' desc
        ) = 1
    )
    select
        s.tenant_id, s.linked_id, s.account_id, s.source_id, s.user_id, s.connection_id, s.institution_name, s.account_class,
        s.currency, s.current_balance, s.as_of,
        s.speaks and s.as_of is not null and s.account_class not in ('loan', 'unclassified') as counted,
        case
            when s."out" is not null then s."out"
            when not s.speaks then 'same_as'
            when s.as_of is null then 'no_balance'
            when s.account_class = 'loan' then 'loan'
            when s.account_class = 'unclassified' then 'unclassified'
        end as reason,
        case
            when s."out" in ('one_of', 'part_of') then s.others
            when s."out" in ('deleted', 'gone', 'ended') then (s.deleted_at::date)::varchar
            when s."out" = 'disabled' then (s.disabled_at::date)::varchar
            when not s.speaks then s.account_id || ' by ' || coalesce(s.evidence, 'id')
            when s.account_class = 'unclassified' then s.account_type
        end as detail,
        case
            when s."out" is not null then null
            when u.status = 'not_configured' then 'user_not_read'
            when is_by(s.missing_since, "at", known_at, s.tenant_id) then 'missing'
        end as note,
        s.missing_since
    from speaking s
    left join users_then u on u.tenant_id = s.tenant_id and u.user_id = s.user_id
    union all by name
    select
        q.tenant_id, q.source_id, q.user_id, q.connection_id, q.institution_name, false as counted, 'quarantined' as reason,
        if(q.state = 'cleared', 'no longer sent; ', '') || q.reason as detail
    from put_aside q
    where not exists (from accounts a where a.tenant_id = q.tenant_id and a.source_id = q.source_id)
        -- A record without an id may be any account that was read since.
        and (q.source_id is not null or q.state is distinct from 'cleared');

create view coverage as
    from coverage_as_of('infinity'::timestamptz);

create macro balance_history(account) as table
    select *, lead(recorded_at) over (partition by tenant_id, account_id, as_of order by load_id) as superseded_at
    from balances
    -- One list of ids lets DuckDB skip blocks; an "or" would read the whole history.
    where account_id in (
        select account union all select i.account_id from account_identity i where i.canonical_id = account
    )
    order by as_of, load_id;

-- Balances as known at a time beside those known now. Only dates for which something was recorded since are looked up, and of
-- those none after the last date known then.
create macro restatements(since) as table
    with lately as (
        select tenant_id, account_id, as_of, arg_max(rowid, load_id) as newest
        from balances
        where not is_by(recorded_at, since, since, tenant_id)
            and as_of <= (select max(b.as_of) from balances b where b.recorded_at <= end_in(since, 'Etc/GMT+12'))
        group by all
    ),
    known_then as (
        select tenant_id, account_id, as_of, any_value(l.newest) as newest, arg_max(b.rowid, b.load_id) as earlier
        from balances b join lately l using (tenant_id, account_id, as_of)
        where is_by(b.recorded_at, since, since, b.tenant_id)
        group by all
    )
    select
        n.tenant_id,
        n.account_id,
        n.as_of,
        n.currency,
        e.current_balance as said_before,
        n.current_balance as says_now,
        case when e.currency = n.currency then n.current_balance - e.current_balance end as difference,
        n.recorded_at,
        n.run_id,
        e.currency as currency_before
    from known_then k
    join balances n on n.rowid = k.newest
    join balances e on e.rowid = k.earlier
    where (e.currency, e.current_balance) <> (n.currency, n.current_balance)
    order by n.recorded_at, n.tenant_id, n.account_id;

-- The age of each balance at a given time, for the balances and accounts known now.
create macro freshness("at") as table
    select
        p.tenant_id, p.account_id, p.institution_name, p.display_name, p.as_of,
        moment_of("at", 'infinity'::timestamptz, p.tenant_id) - p.as_of as age, c.status as connection_status
    from positions_as_of("at") p
    left join connections_latest c on c.tenant_id = p.tenant_id and c.connection_id = p.connection_id
    order by p.as_of nulls first;
