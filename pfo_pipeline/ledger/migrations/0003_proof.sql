-- Proof of what each load wrote (proof.py): seals, and a hash chain over the loads of each tenant.

create table seals (
    tenant_id varchar not null,
    load_id bigint not null,
    about_load_id bigint not null,
    table_name varchar not null,
    rows bigint not null,
    amount_sum decimal(38,10),
    content_hash varchar not null
);

create table chain (
    tenant_id varchar not null,
    load_id bigint not null,
    previous_hash varchar not null,
    hash varchar not null
);

alter table accounts add column provider_updated_at timestamptz;

-- A view keeps the columns that its table had.
create or replace view accounts_latest as
    from accounts
    qualify row_number() over (partition by tenant_id, account_id order by load_id desc) = 1;

create or replace view accounts_history as
    select *, lead(recorded_at) over (partition by tenant_id, account_id order by load_id) as superseded_at
    from accounts;
