-- What an analyst has saved on release 0.1.0. Before each query: its name, and whether later releases give the same rows
-- ("stay"; reviewed exceptions are in expected_changes.json) or only the same columns ("may change").

-- query: positions
-- values: stay
select
    tenant_id, user_id, institution_name, account_id, display_name, account_type, currency, current_balance,
    available_balance, as_of, recorded_at, connection_id, connection_status, connection_state, linked_through
from positions
order by all;

-- query: positions_as_they_come
-- values: stay
from positions;

-- query: banks_with_most_euros
-- values: stay
select institution_name, sum(current_balance) as euros, count(*) as accounts
from positions
where currency = 'EUR' and account_type not in ('loan', 'mortgage', 'consumercredit', 'revolvingcredit')
group by institution_name
order by euros desc nulls last, institution_name;

-- query: accounts_seen_through_two_connections
-- values: stay
select tenant_id, account_id, linked_through from positions where len(linked_through) > 1 order by all;

-- query: who_must_act
-- values: stay
select p.tenant_id, p.institution_name, p.connection_state, c.who_acts, c.remedy, c.link, count(*) as accounts
from positions p
join connections_latest c on c.tenant_id = p.tenant_id and c.connection_id = p.connection_id
where p.connection_status <> 'healthy'
group by all
order by all;

-- query: totals
-- values: stay
select tenant_id, currency, accounts, current_balance, loans, oldest_as_of from totals order by all;

-- query: totals_as_they_come
-- values: stay
from totals;

-- query: totals_in_qualified_names
-- values: stay
select t.currency, sum(t.current_balance) as current_balance from ledger.ledger.totals t group by all order by all;

-- query: account_identity
-- values: stay
select tenant_id, account_id, canonical_id, evidence, decided_by from account_identity order by all;

-- query: accounts_that_are_another
-- values: stay
select i.tenant_id, a.institution_name, a.display_name, i.canonical_id, i.evidence, i.decided_by
from account_identity i
join accounts_latest a on a.tenant_id = i.tenant_id and a.account_id = i.account_id
where i.canonical_id <> i.account_id
order by all;

-- query: identities_proposed
-- values: stay
select tenant_id, account_id, same_as, evidence, recorded_at from identities_proposed order by all;

-- query: identities
-- values: stay
select tenant_id, account_id, same_as, evidence, decided_by, load_id, recorded_at, run_id, operation
from identities
order by all;

-- query: users_latest
-- values: stay
select tenant_id, user_id, status, code, who_acts, remedy, load_id, recorded_at, run_id, operation
from users_latest
order by all;

-- query: users
-- values: stay
select tenant_id, user_id, status, code, who_acts, remedy, load_id, recorded_at, run_id, operation from users order by all;

-- query: connections_latest
-- values: stay
select
    tenant_id, connection_id, user_id, institution_id, institution_name, state, status, who_acts, remedy, link, active,
    created_at, last_success_at, next_try_at, consent_expires_at, payload_digest, load_id, recorded_at, run_id, operation
from connections_latest
order by all;

-- query: connections_of_the_martins
-- values: stay
select
    tenant_id, connection_id, user_id, institution_id, institution_name, state, status, who_acts, remedy, link, active,
    created_at, last_success_at, next_try_at, consent_expires_at, payload_digest, load_id, recorded_at, run_id, operation
from connections
where tenant_id = 'martin'
order by all;

-- query: consents_that_end
-- values: stay
select tenant_id, connection_id, institution_name, consent_expires_at
from connections_latest
where consent_expires_at < '2026-06-01 00:00:00+00'
order by all;

-- query: accounts_latest
-- values: stay
select
    tenant_id, account_id, user_id, connection_id, source_id, institution_id, institution_name, account_type, currency,
    display_name, number, iban, bic, usage, ownership, parent_account_id, disabled_at, deleted_at, provider_updated_at,
    payload_digest, load_id, recorded_at, run_id, operation
from accounts_latest
order by all;

-- query: accounts
-- values: stay
select
    tenant_id, account_id, user_id, connection_id, source_id, institution_id, institution_name, account_type, currency,
    display_name, number, iban, bic, usage, ownership, parent_account_id, disabled_at, deleted_at, provider_updated_at,
    payload_digest, load_id, recorded_at, run_id, operation
from accounts
order by all;

-- query: accounts_history
-- values: stay
select
    tenant_id, account_id, user_id, connection_id, source_id, institution_id, institution_name, account_type, currency,
    display_name, number, iban, bic, usage, ownership, parent_account_id, disabled_at, deleted_at, provider_updated_at,
    payload_digest, load_id, recorded_at, superseded_at, run_id, operation
from accounts_history
order by all;

-- query: accounts_that_are_gone
-- values: stay
select tenant_id, institution_name, display_name, disabled_at, deleted_at
from accounts_latest
where coalesce(disabled_at, deleted_at) is not null
order by all;

-- query: accounts_that_changed
-- values: stay
select tenant_id, account_id, count(*) as versions, max(superseded_at) as changed_last
from accounts_history
group by all
having count(*) > 1
order by all;

-- query: balances_latest
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation
from balances_latest
order by all;

-- query: balances_current
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation
from balances_current
order by all;

-- query: balances_of_early_march
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation
from balances
where as_of >= '2026-03-02 00:00:00+00' and as_of < '2026-03-08 00:00:00+00'
order by all;

-- query: month_ends
-- values: stay
select tenant_id, account_id, currency, last_day(as_of::date) as month_end, arg_max(current_balance, as_of)::varchar as closing
from balances
group by all
order by all;

-- query: runs
-- values: stay
select run_id, tenant_id, operation, first_load_at, last_load_at, attempts, complete, added, synced, failed
from runs
where first_load_at < '2026-04-07 00:00:00+00'
order by first_load_at, run_id, operation;

-- query: loads
-- values: stay
select
    load_id, tenant_id, run_id, operation, code_version, attempt, complete, recorded_at, offered, added, quarantined, synced,
    failed
from loads
where recorded_at < '2026-04-07 00:00:00+00'
order by load_id;

-- query: loads_that_were_not_complete
-- values: stay
select l.tenant_id, l.operation, l.recorded_at, l.failed, r.attempts
from loads l join runs r using (run_id, tenant_id, operation)
where not l.complete
order by all;

-- query: quarantine
-- values: stay
select tenant_id, record, source_id, reason, payload_digest, load_id, recorded_at, run_id, operation
from quarantine
order by all;

-- query: drift
-- values: stay
select tenant_id, field, value, load_id, recorded_at, run_id, operation from drift order by all;

-- query: telemetry_of_the_last_day
-- values: stay
select event, tenant_id, emitted_at, properties, load_id, run_id
from telemetry
where emitted_at >= '2026-04-06 00:00:00+00' and emitted_at < '2026-04-07 00:00:00+00'
order by all;

-- query: telemetry_counted
-- values: stay
select event, tenant_id, count(*) as events, count(distinct properties ->> '$.connectionId') as connections
from telemetry
where emitted_at < '2026-04-07 00:00:00+00'
group by all
order by all;

-- query: seals
-- values: stay
select tenant_id, load_id, about_load_id, table_name, rows, amount_sum, content_hash
from seals
where load_id <= 100
order by all;

-- query: chain
-- values: stay
select tenant_id, load_id, previous_hash, hash from chain where load_id <= 100 order by all;

-- query: erasures
-- values: stay
select tenant_id, scope, rows_removed, load_id, recorded_at, run_id, operation from erasures order by all;

-- query: withheld
-- values: stay
select table_name, column_name from withheld order by all;

-- query: office
-- values: stay
select office, created_at from office;

-- query: migrations
-- values: may change
select version, name, applied_at from migrations order by version;

-- query: balances_as_of_mid_march
-- values: stay
select tenant_id, account_id, as_of, recorded_at, currency, current_balance, available_balance, run_id
from balances_as_of('2026-03-15 12:00:00+00'::timestamptz)
order by all;

-- query: balances_as_of_as_known_then
-- values: stay
select tenant_id, account_id, as_of, recorded_at, currency, current_balance, available_balance, run_id
from balances_as_of('2026-03-04 12:00:00+00'::timestamptz, known_at := '2026-03-04 18:30:00+00'::timestamptz)
order by all;

-- query: linked_balances_as_of
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation
from linked_balances_as_of('2026-03-15 12:00:00+00'::timestamptz)
order by all;

-- query: linked_balances_as_of_as_known_then
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation
from linked_balances_as_of('2026-03-04 12:00:00+00'::timestamptz, known_at := '2026-03-04 18:30:00+00'::timestamptz)
order by all;

-- query: accounts_as_of
-- values: stay
select
    tenant_id, account_id, user_id, connection_id, source_id, institution_id, institution_name, account_type, currency,
    display_name, number, iban, bic, usage, ownership, parent_account_id, disabled_at, deleted_at, provider_updated_at,
    payload_digest, load_id, recorded_at, run_id, operation
from accounts_as_of('2026-03-08 17:00:00+00'::timestamptz)
order by all;

-- query: account_identity_as_of_before_the_split
-- values: stay
select tenant_id, account_id, canonical_id
from account_identity_as_of('2026-03-09 12:00:00+00'::timestamptz)
where account_id <> canonical_id
order by all;

-- query: account_identity_as_of_the_end
-- values: stay
select tenant_id, account_id, canonical_id
from account_identity_as_of('2026-04-06 23:00:00+00'::timestamptz)
where account_id <> canonical_id
order by all;

-- query: cash_position
-- values: stay
select tenant_id, currency, total, loans, accounts, oldest_as_of
from cash_position('2026-03-31 22:00:00+00'::timestamptz)
order by all;

-- query: cash_position_as_known_then
-- values: stay
select tenant_id, currency, total, loans, accounts, oldest_as_of
from cash_position('2026-03-07 22:00:00+00'::timestamptz, known_at := '2026-03-07 22:00:00+00'::timestamptz)
order by all;

-- query: cash_position_as_they_come
-- values: stay
from cash_position('2026-03-12 22:00:00+00'::timestamptz);

-- query: cash_by_week
-- values: stay
select day, c.tenant_id, c.currency, c.total
from (
    select '2026-03-08'::date as day, * from cash_position('2026-03-08 22:00:00+00'::timestamptz)
    union all
    select '2026-03-15'::date as day, * from cash_position('2026-03-15 22:00:00+00'::timestamptz)
    union all
    select '2026-03-22'::date as day, * from cash_position('2026-03-22 22:00:00+00'::timestamptz)
) c
order by all;

-- query: balance_history_of_a_joined_account
-- values: stay
select
    tenant_id, account_id, as_of, connection_id, source_id, currency, current_balance, available_balance, available_basis,
    payload_digest, load_id, recorded_at, run_id, operation, superseded_at
from balance_history((
    select same_as from identities where tenant_id = 'martin' and decided_by = 'operator'
))
order by as_of, load_id, account_id;

-- query: balance_history_of_a_corrected_account
-- values: stay
select as_of, current_balance, recorded_at, superseded_at
from balance_history((
    select account_id from accounts_latest where display_name = 'Assurance vie' and tenant_id = 'moreau'
))
order by all;

-- query: restatements
-- values: stay
select tenant_id, account_id, as_of, currency, said_before, says_now, difference, recorded_at, run_id
from restatements('2026-02-01 00:00:00+00'::timestamptz)
order by all;

-- query: freshness
-- values: stay
select tenant_id, account_id, institution_name, display_name, as_of, age, connection_status
from freshness('2026-04-07 08:00:00+00'::timestamptz)
order by all;

-- query: figures_older_than_three_days
-- values: stay
select tenant_id, institution_name, display_name, age
from freshness('2026-04-07 08:00:00+00'::timestamptz)
where age > interval 3 days or age is null
order by all;

-- query: change_over_march
-- values: stay
select e.tenant_id, e.currency, e.total - b.total as change
from cash_position('2026-03-31 22:00:00+00'::timestamptz) e
join cash_position('2026-02-28 23:00:00+00'::timestamptz) b using (tenant_id, currency)
order by all;
