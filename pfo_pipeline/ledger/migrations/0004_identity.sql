-- One bank account may be seen through several connections, or come back under a new id of Powens: which ones are the same.
-- Decided when read, so that a decision can be undone: each linked account keeps its own rows.

create table identities (
    tenant_id varchar not null,
    account_id varchar not null,
    same_as varchar not null,
    evidence varchar not null,
    decided_by varchar not null,
    load_id bigint not null,
    recorded_at timestamptz not null,
    run_id varchar not null,
    operation varchar not null
);
