"""What needs a look though its connection seems in order: accounts that are missing from its list, a bank that shares none.

One row for each connection and source, however many accounts it is about. A user who is not configured any more is told of
once, by themselves: what they had is read no longer.
"""

NOT_READ = """(
    select tenant_id, user_id from users where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    group by all having arg_max(status, load_id) = 'not_configured'
)"""

ATTENTION = f"""
with accounts_then as (
    from accounts where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1
),
connections_then as (
    from connections where list_contains($tenants, tenant_id) and recorded_at <= $known_at
    qualify row_number() over (partition by tenant_id, connection_id order by load_id desc) = 1
),
shared as (from accounts_then where disabled_at is null and deleted_at is null),
missing as (
    select
        tenant_id, connection_id, connection_source_id, user_id, institution_name, count(*) as accounts,
        min(missing_since) as since, min(account_id) as account_id
    from shared where missing_since is not null
    group by all
)
select
    m.tenant_id, m.connection_id, m.connection_id || coalesce('/' || m.connection_source_id, '') as thing, m.user_id,
    m.institution_name, 'missing' as code,
    m.accounts || case when m.accounts = 1 then ' account' else ' accounts' end || ' missing from the bank''s list since '
        || strftime(m.since at time zone 'UTC', '%Y-%m-%d') as why,
    'operator' as who_acts,
    'Look at connection ' || m.connection_id || ' in the Powens console: the last balance counts on meanwhile. If the account '
        || 'was closed, end it: '
        || case when m.accounts = 1
            then 'pfo end --tenant ' || m.tenant_id || ' --account ' || m.account_id || ' --on '
                || strftime(m.since at time zone 'UTC', '%Y-%m-%d')
            else 'pfo end --help. Which accounts: pfo sql "from coverage where note = ''missing'' and connection_id = '''
                || m.connection_id || '''"' end as remedy
from missing m
where (m.tenant_id, m.user_id) not in {NOT_READ}
union all
select
    c.tenant_id, c.connection_id, c.connection_id as thing, c.user_id, c.institution_name, 'noAccount' as code,
    'shares no account' as why, 'operator' as who_acts,
    'Which accounts wait for the member''s consent: pfo connections --tenant ' || c.tenant_id || '. Where there is none, the '
        || 'member chooses anew at the link of: pfo reconnect --tenant ' || c.tenant_id || ' --connection ' || c.connection_id
        || '. If none is to be shared: pfo disconnect --tenant ' || c.tenant_id || ' --member ' || c.user_id
        || ' --connection ' || c.connection_id as remedy
from connections_then c
where c.status = 'healthy' and c.last_success_at is not null
    and (c.tenant_id, c.connection_id) not in (select (tenant_id, connection_id) from shared)
    and (c.tenant_id, c.user_id) not in {NOT_READ}
order by all
"""
