-- No primary keys or indexes: uniqueness is kept by the merge, at a third of the file's size and a quarter of the memory.
-- Tables only: views and macros are made by views.sql after the last migration.

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
