-- The open action items of some tenants, as known at a time; see action_items.py for the columns and parameters.
with users_then as (
    from users where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, user_id order by load_id desc) = 1
),
not_read as (select tenant_id, user_id from users_then where status = 'not_configured'),
accounts_then as (
    from accounts where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
),
connections_then as (
    from connections where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, connection_id order by load_id desc) = 1
),
shared as (from accounts_then where disabled_at is null and deleted_at is null),
identity_then as (from account_identity_as_of($known_at) where list_contains($tenants, tenant_id)),
-- Not the link of an account that the same bank lists for the same user under another id.
listed as (
    select distinct a.tenant_id, a.user_id, a.institution_id, i.canonical_id
    from shared a join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    where a.missing_since is null
),
missing as (
    select
        a.tenant_id, a.connection_id, a.connection_source_id, a.user_id, a.institution_name, count(*) as accounts,
        min(a.missing_since) as since, min(a.account_id) as account_id
    from shared a join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    where a.missing_since is not null
        and (a.tenant_id, a.user_id, a.institution_id, i.canonical_id) not in (from listed)
    group by all
),
proposed as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, count(*) as proposals,
        min(p.account_id) as account_id, arg_min(p.other_id, p.account_id) as other_id,
        arg_min(p.evidence, p.account_id) as evidence
    from proposals_as_of($known_at) p
    join accounts_then a on a.tenant_id = p.tenant_id and a.account_id = p.account_id
    join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    where i.counts_as is null
    group by all
),
ambiguous as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, count(*) as accounts,
        min(a.account_id) as account_id, arg_min(i.others, a.account_id) as others
    from shared a
    join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    where i.counts_as = 'one_of'
    group by all
),
changes_then as (
    from account_changes where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
),
-- Other reasons have items of their own below.
changed as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, count(*) as accounts,
        min(c.account_id) as account_id,
        array_to_string(list_sort(list(distinct case
            when c.stands = 'counts' then 'counts by itself now'
            when c.stands = 'loan' then 'is a loan now'
            when c.stands = 'disabled' then 'is no longer shared with us'
            when c.stands = 'ended' then 'is gone'
            when c.stands = 'part_of' then 'is part of its parent now'
            else 'is the ' || c.stands || ' now'
        end)), ', ') as how
    from changes_then c
    join accounts_then a on a.tenant_id = c.tenant_id and a.account_id = c.account_id
    where not c.seen and c.stands not in ('one_of', 'unclassified')
    group by all
),
put_aside as (
    select
        q.tenant_id, coalesce(q.connection_id, 'unknown') as connection_id, coalesce(q.user_id, '') as user_id,
        coalesce(c.institution_name, any_value(q.institution_name), 'unknown') as institution_name, count(*) as records,
        min(q.record || coalesce(' ' || q.source_id, '') || ': ' || q.reason) as which
    from quarantine_as_of($known_at) q
    left join connections_then c on c.tenant_id = q.tenant_id and c.connection_id = q.connection_id
    where list_contains($tenants, q.tenant_id)
        and (q.tenant_id, coalesce(q.user_id, '')) not in (
            select (tenant_id, user_id) from users_then where status in ('not_configured', 'ended')
        )
    group by q.tenant_id, q.connection_id, q.user_id, c.institution_name
),
-- Only where the connection itself is in order. Two of the errors end without anybody's doing.
troubled as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, a.trouble, count(*) as accounts,
        min(a.account_id) as account_id
    from shared a
    join connections_then c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id and c.status = 'healthy'
    where a.missing_since is null and a.trouble is not null and a.trouble not in ('websiteUnavailable', 'bug')
    group by all
),
-- Without a balance for longer than a balance may be old: `Freshness.limit` in contracts/operations.py.
without_balance as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, count(*) as accounts, min(a.account_id) as account_id,
        min(f.since) as since
    from shared a
    join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id and i.counts_as is null
    join (
        select i.tenant_id, i.canonical_id, min(a.recorded_at) as since
        from accounts a join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
        where a.recorded_at <= $known_at and a.disabled_at is null and a.deleted_at is null
        group by all
        -- The newest figures stand in for all: one that came later than $known_at hides that there was none then.
        having (i.tenant_id, i.canonical_id) not in (
            select (i.tenant_id, i.canonical_id)
            from balances_current b join identity_then i on i.tenant_id = b.tenant_id and i.account_id = b.account_id
        )
    ) f on f.tenant_id = a.tenant_id and f.canonical_id = i.canonical_id
    left join connections_then c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
    where a.missing_since is null and f.since < least($now, $known_at) - to_hours(greatest(
        coalesce(map($types::varchar[], $type_hours::bigint[])[a.account_type], $hours),
        coalesce(map($classes::varchar[], $class_hours::bigint[])[case
            when not c.active then 'paused' when c.consent_expires_at is null then 'credentials' else 'consent'
        end], 0)
    ))
    group by a.tenant_id, a.connection_id, a.user_id, a.institution_name
),
unclassified as (
    select
        a.tenant_id, a.connection_id, a.user_id, a.institution_name, count(*) as accounts,
        string_agg(distinct a.account_type, ', ' order by a.account_type) as types
    from shared a
    join identity_then i on i.tenant_id = a.tenant_id and i.account_id = a.account_id
    left join account_types t on t.account_type = a.account_type
    where i.counts_as is null and coalesce(if(a.is_crypto, 'crypto', i.account_class), t.class) is null
        and (a.tenant_id, i.canonical_id) not in (
            select (tenant_id, account_id) from changes_then where seen and stands = 'unclassified'
        )
    group by all
),
about_accounts as (
    select
        m.tenant_id, m.connection_id, m.connection_id || coalesce('/' || m.connection_source_id, '') as thing, m.user_id,
        m.institution_name, 'missing' as code,
        m.accounts || case when m.accounts = 1 then ' account' else ' accounts' end || ' missing from the bank''s list since '
            || strftime(m.since at time zone 'UTC', '%Y-%m-%d') as why,
        'operator' as who_acts,
        'Look at connection ' || m.connection_id || ' in the Powens console: the last balance still counts. If the account '
            || 'was closed, end it: '
            || case when m.accounts = 1
                then 'pfo end --tenant ' || m.tenant_id || ' --account ' || m.account_id || ' --on '
                    || strftime(m.since at time zone 'UTC', '%Y-%m-%d')
                else 'pfo end --help. Which accounts: pfo sql "from coverage where note = ''missing'' and connection_id = '''
                    || m.connection_id || '''"' end as remedy
    from missing m
    where (m.tenant_id, m.user_id) not in (from not_read)
    union all
    select
        c.tenant_id, c.connection_id, c.connection_id as thing, c.user_id, c.institution_name, 'noAccount' as code,
        'shares no account' as why, 'operator' as who_acts,
        'Which accounts wait for the member''s consent: pfo connections --tenant ' || c.tenant_id || '. Where there is none, the '
            || 'member chooses again at the link of: pfo reconnect --tenant ' || c.tenant_id || ' --connection ' || c.connection_id
            || '. If none is to be shared: pfo disconnect --tenant ' || c.tenant_id || ' --member ' || c.user_id
            || ' --connection ' || c.connection_id as remedy
    from connections_then c
    where c.status = 'healthy' and c.last_success_at is not null
        and (c.tenant_id, c.connection_id) not in (select (tenant_id, connection_id) from shared)
        and (c.tenant_id, c.user_id) not in (from not_read)
    union all
    select
        p.tenant_id, p.connection_id, p.connection_id || ' proposed' as thing, p.user_id, p.institution_name, 'proposed' as code,
        case when p.proposals = 1
            then 'account ' || p.account_id || ' may be ' || p.other_id || ' (' || p.evidence || '): both count meanwhile'
            else p.proposals || ' accounts may be others that count too, such as ' || p.account_id || ' (' || p.evidence || ')'
        end as why,
        'operator' as who_acts,
        'Look at both: pfo identity --tenant ' || p.tenant_id || '. If they are one: pfo identity join --tenant ' || p.tenant_id
            || ' ' || p.account_id || ' ' || p.other_id || '. If not: pfo identity split --tenant ' || p.tenant_id || ' '
            || p.account_id || ' ' || p.other_id as remedy
    from proposed p
    union all
    select
        o.tenant_id, o.connection_id, o.connection_id || ' one of' as thing, o.user_id, o.institution_name, 'oneOf' as code,
        case when o.accounts = 1
            then 'account ' || o.account_id || ' is one of ' || replace(o.others, ',', ', ') || ': it counts as none by itself'
            else o.accounts || ' accounts are each one of several others, such as ' || o.account_id
                || ': they count as none by themselves' end as why,
        'operator' as who_acts,
        'Look at them: pfo identity --tenant ' || o.tenant_id || '. Then say which it is: pfo identity join --tenant '
            || o.tenant_id || ' ' || o.account_id || ' ' || string_split(o.others, ',')[1] || '. If it is none of them: '
            || 'pfo identity split --tenant ' || o.tenant_id || ' ' || o.account_id as remedy
    from ambiguous o
    union all
    select
        u.tenant_id, u.connection_id, u.connection_id || ' unclassified' as thing, u.user_id, u.institution_name,
        'unclassified' as code,
        u.accounts || case when u.accounts = 1 then ' account' else ' accounts' end || ' in no total, of a type without a class: '
            || u.types as why,
        'operator' as who_acts,
        'Look at it: pfo sql "from coverage where tenant_id = ''' || u.tenant_id || ''' and reason = ''unclassified''". Say '
            || 'which class it is of where this program is kept: a newer release may know it. If it is to stay in no total: '
            || 'pfo seen --tenant ' || u.tenant_id || ' --connection ' || u.connection_id as remedy
    from unclassified u
    union all
    select
        c.tenant_id, c.connection_id, c.connection_id || ' changed' as thing, c.user_id, c.institution_name, 'changed' as code,
        case when c.accounts = 1 then 'account ' || c.account_id || ' ' || c.how || ': the totals changed by it'
            else c.accounts || ' accounts, such as ' || c.account_id || ', count differently than before (' || c.how || ')'
        end as why,
        'operator' as who_acts,
        'Look at it: pfo sql "from coverage where tenant_id = ''' || c.tenant_id || ''' and connection_id = ''' || c.connection_id
            || '''". Once you have seen it: pfo seen --tenant ' || c.tenant_id || ' --connection ' || c.connection_id as remedy
    from changed c
    union all
    select
        t.tenant_id, t.connection_id, t.connection_id || ' ' || t.trouble as thing, t.user_id, t.institution_name,
        t.trouble as code,
        case when t.accounts = 1 then 'account ' || t.account_id
            else t.accounts || ' accounts, such as ' || t.account_id || ',' end || ' gets no new figure: ' || t.trouble as why,
        case t.trouble when 'actionNeeded' then 'member' else 'operator' end as who_acts,
        case t.trouble
            when 'actionNeeded' then 'The member settles it on the bank''s own site or app: a message to read, terms to accept. '
                || 'The last balance still counts.'
            else 'An error that we do not know: look at the account in the Powens console. The last balance still counts.'
        end as remedy
    from troubled t
    union all
    select
        q.tenant_id, q.connection_id, q.connection_id || ' put aside' as thing, q.user_id, q.institution_name,
        'quarantined' as code,
        case when q.records = 1 then 'a record cannot be read: ' else q.records || ' records cannot be read, such as ' end
            || q.which as why,
        'operator' as who_acts,
        'Look at it in the Powens console, and ask Powens support where it is wrong there: each run reads it again. Until then '
            || 'its amount is in no total, or the last balance still counts. All of them: pfo sql "from quarantine_latest where '
            || 'tenant_id = ''' || q.tenant_id || '''"' as remedy
    from put_aside q
    union all
    select
        b.tenant_id, b.connection_id, b.connection_id || ' no balance' as thing, b.user_id, b.institution_name,
        'noBalance' as code,
        case when b.accounts = 1 then 'account ' || b.account_id || ' is'
            else b.accounts || ' accounts, such as ' || b.account_id || ', are' end
            || ' without a balance since ' || strftime(b.since at time zone 'UTC', '%Y-%m-%d') || ', and in no total' as why,
        'operator' as who_acts,
        'Look at it in the Powens console, and ask Powens support why there is no figure. If none is to come, end it: '
            || 'pfo end --tenant ' || b.tenant_id || ' --account ' || b.account_id || ' --on '
            || strftime(b.since at time zone 'UTC', '%Y-%m-%d') as remedy
    from without_balance b
    where (b.tenant_id, b.user_id) not in (from not_read)
),
items as (
    select
        tenant_id, 'user' as subject, user_id as thing, user_id, null as connection_id, null as institution_name,
        coalesce(code, status) as code,
        case when status = 'not_configured' then 'no longer read by us'
            else status || coalesce(' (' || code || ')', '') end as why,
        coalesce(who_acts, 'nobody') as who_acts, coalesce(remedy, '') as remedy, null as link, null as next_try_at,
        status = 'refused' as is_critical
    from users_then where status not in ('ok', 'ended')
    union all
    select
        tenant_id, 'connection', connection_id, user_id, connection_id, institution_name, coalesce(state, status),
        coalesce(state, status), coalesce(who_acts, 'nobody'), coalesce(remedy, ''), link,
        -- Earlier releases recorded any date, and not every time zone can show every date.
        case
            when next_try_at > timestamptz '8999-12-31 00:00:00+00' then timestamptz '8999-12-31 00:00:00+00'
            when next_try_at < timestamptz '1900-01-01 00:00:00+00' then timestamptz '1900-01-01 00:00:00+00'
            else next_try_at
        end,
        false
    from connections_then
    where status not in ('healthy', 'gone') and (tenant_id, user_id) not in (from not_read)
    union all
    select
        tenant_id, 'accounts', thing, user_id, connection_id, institution_name, code, why, who_acts, remedy, null, null, false
    from about_accounts
)
from items
order by list_position(['user', 'connection', 'accounts'], subject), tenant_id, thing, code
