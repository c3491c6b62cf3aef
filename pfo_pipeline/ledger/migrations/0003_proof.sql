-- Proof of what each load wrote (proof.py): seals, and a hash chain over the loads of each tenant. What was erased since.

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

create table erasures (
    tenant_id varchar not null,
    scope varchar not null,
    rows_removed bigint not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);

-- Filled only in a published copy that leaves personal columns out.
create table withheld (
    table_name varchar not null,
    column_name varchar not null
);

alter table accounts add column provider_updated_at timestamptz;
