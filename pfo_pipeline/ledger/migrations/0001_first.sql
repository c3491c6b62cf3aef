-- No primary keys or indexes: uniqueness is kept by the merge, at a third of the file's size and a quarter of the memory.
-- Views and macros name their tables without a schema: the file is opened under more than one catalog name.

create table office (
    office varchar not null,
    created_at timestamptz not null
);

create table loads (
    load_id bigint not null,
    tenant_id varchar not null,
    run_id varchar not null,
    operation varchar not null,
    code_version varchar not null,
    attempt bigint not null,
    complete boolean not null,
    recorded_at timestamptz not null,
    offered bigint not null,
    added bigint not null,
    quarantined bigint not null,
    synced bigint not null,
    failed bigint not null
);

create table users (
    tenant_id varchar not null,
    user_id varchar not null,
    status varchar not null,
    code varchar,
    who_acts varchar,
    remedy varchar,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table connections (
    tenant_id varchar not null,
    connection_id varchar not null,
    user_id varchar not null,
    institution_id varchar not null,
    institution_name varchar not null,
    state varchar,
    status varchar not null,
    who_acts varchar,
    remedy varchar,
    link varchar,
    active boolean not null,
    created_at timestamptz,
    last_success_at timestamptz,
    next_try_at timestamptz,
    consent_expires_at timestamptz,
    payload_digest varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table accounts (
    tenant_id varchar not null,
    account_id varchar not null,
    user_id varchar not null,
    connection_id varchar not null,
    source_id varchar not null,
    institution_id varchar not null,
    institution_name varchar not null,
    account_type varchar not null,
    currency varchar,
    display_name varchar not null,
    number varchar,
    iban varchar,
    bic varchar,
    usage varchar,
    ownership varchar,
    parent_account_id varchar,
    disabled_at timestamptz,
    deleted_at timestamptz,
    payload_digest varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table balances (
    tenant_id varchar not null,
    account_id varchar not null,
    as_of timestamptz not null,
    connection_id varchar not null,
    source_id varchar not null,
    currency varchar not null,
    current_balance decimal(38,10) not null,
    available_balance decimal(38,10),
    available_basis varchar,
    payload_digest varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table balances_current (
    tenant_id varchar not null,
    account_id varchar not null,
    as_of timestamptz not null,
    connection_id varchar not null,
    source_id varchar not null,
    currency varchar not null,
    current_balance decimal(38,10) not null,
    available_balance decimal(38,10),
    available_basis varchar,
    payload_digest varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table quarantine (
    tenant_id varchar not null,
    record varchar not null,
    source_id varchar,
    reason varchar not null,
    payload_digest varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table drift (
    tenant_id varchar not null,
    field varchar not null,
    value varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table telemetry (
    event varchar not null,
    tenant_id varchar not null,
    emitted_at timestamptz not null,
    properties json not null,
    load_id bigint not null,
    run_id varchar not null
);

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

create view positions as
    select
        a.tenant_id,
        a.user_id,
        a.institution_name,
        a.account_id,
        a.display_name,
        a.account_type,
        coalesce(b.currency, a.currency) as currency,
        b.current_balance,
        b.available_balance,
        b.as_of,
        b.recorded_at,
        a.connection_id,
        c.status as connection_status,
        c.state as connection_state
    from accounts_latest a
    left join balances_latest b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
    left join connections_latest c on c.tenant_id = a.tenant_id and c.connection_id = a.connection_id
    where a.disabled_at is null and a.deleted_at is null;

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
