-- Which linked accounts are one account, and what becomes of those that a bank no longer shows.

alter table accounts add column connection_source_id varchar;
alter table accounts add column missing_since timestamptz;
alter table accounts add column ended_by varchar;
alter table accounts add column is_crypto boolean;
alter table accounts add column trouble varchar;

alter table balances add column rounded_from varchar;
alter table balances_current add column rounded_from varchar;

alter table quarantine add column user_id varchar;
alter table quarantine add column connection_id varchar;
alter table quarantine add column institution_name varchar;
alter table quarantine add column state varchar;

alter table identities add column counts_as varchar;
alter table identities add column others varchar;
alter table identities add column account_class varchar;

create table tenants (
    tenant_id varchar not null,
    time_zone varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table account_decisions (
    tenant_id varchar not null,
    account_id varchar not null,
    other_id varchar not null,
    decision varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table account_proposals (
    tenant_id varchar not null,
    account_id varchar not null,
    other_id varchar not null,
    evidence varchar not null,
    state varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

create table account_changes (
    tenant_id varchar not null,
    account_id varchar not null,
    was varchar not null,
    stands varchar not null,
    seen boolean not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);
