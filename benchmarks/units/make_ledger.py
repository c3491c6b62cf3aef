"""A ledger of any size, made by SQL in DuckDB: every account has one balance a day, with rows in the order of days.

Load 1 wrote the accounts, each further one a day of balances. The ledger's own code seals and chains the loads, so that
`verify` finds nothing. Columns are named, so that those of a later schema may stay empty.
"""

from pathlib import Path

import duckdb

from benchmarks.history import ACCOUNTS_PER_CONNECTION, FIRST_DAY
from benchmarks.ledger_facts import ledger_facts
from benchmarks.office import OFFICE, TENANT
from benchmarks.sizes import LedgerSize
from benchmarks.work import Work
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.hash_chain import seal
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline.ledger.store import Ledger

_LOADS = """
insert into loads by name
select
    day + 2 as load_id, $tenant as tenant_id, 'run' as run_id,
    if(day < 0, 'openbanking.accounts.sync', 'openbanking.balances.refresh') as operation,
    '1.0.0' as code_version, 1 as attempt, true as complete,
    $first_day::timestamptz + to_days(day::integer) + interval 1 hour as recorded_at,
    $accounts as offered, $accounts as added, 0 as quarantined, $accounts as synced, 0 as failed
from range(-1, $days) d(day)
"""
_USERS = """
insert into users by name
select $tenant as tenant_id, 'member' as user_id, 'ok' as status, load_id, recorded_at, run_id, operation
from loads where load_id = 1
"""
_CONNECTIONS = """
insert into connections by name
select
    $tenant as tenant_id, n::varchar as connection_id, 'member' as user_id, 'bank' || n % 50 as institution_id,
    'Bank ' || n % 50 as institution_name, 'healthy' as status, true as active, sha256(n::varchar) as payload_digest,
    load_id, recorded_at, run_id, operation
from range($accounts // $per_connection + 1) c(n), loads
where load_id = 1
"""
_ACCOUNTS = """
insert into accounts by name
select
    $tenant as tenant_id, printf('acc_%020d', n) as account_id, 'member' as user_id,
    (n // $per_connection)::varchar as connection_id, n::varchar as source_id,
    'bank' || n // $per_connection % 50 as institution_id, 'Bank ' || n // $per_connection % 50 as institution_name,
    ['checking', 'savings', 'market', 'loan'][n % 4 + 1] as account_type, ['EUR', 'USD', 'CHF'][n % 3 + 1] as currency,
    'Account ' || n as display_name, printf('%011d', n) as number, printf('FR76%023d', n) as iban, 'PRIV' as usage,
    'owner' as ownership, sha256(n::varchar) as payload_digest, load_id, recorded_at, run_id, operation
from range($accounts) a(n), loads
where load_id = 1
"""
# One range, so that rows are in the order of days without a sort.
_BALANCES = """
insert into balances by name
select
    $tenant as tenant_id, printf('acc_%020d', n) as account_id,
    $first_day::timestamptz + to_days(day::integer) + to_seconds((n % 3600)::double) as as_of,
    (n // $per_connection)::varchar as connection_id, n::varchar as source_id,
    ['EUR', 'USD', 'CHF'][n % 3 + 1] as currency,
    (((n * 7919 + day * 104729) % 10000000)::decimal(18, 0) * 0.01)::decimal(38, 10) as current_balance,
    null as available_balance, null as available_basis, sha256(i::varchar) as payload_digest, day + 2 as load_id,
    $first_day::timestamptz + to_days(day::integer) + interval 1 hour as recorded_at, 'run' as run_id,
    'openbanking.balances.refresh' as operation
from (select i, i // $accounts as day, i % $accounts as n from range($accounts * $days) r(i))
"""
_CURRENT = "insert into balances_current by name from balances where load_id = (select max(load_id) from loads)"


def prepare(data_dir: str, accounts: int, days: int) -> Work:
    size = LedgerSize(accounts, days)
    files = LedgerFiles(Path(data_dir))
    # The first read creates the file with its schema.
    Ledger(files, OFFICE).reader().tenants()
    return Work(lambda: _fill(files, size), lambda: ledger_facts(files))


def _fill(files: LedgerFiles, size: LedgerSize) -> None:
    place = {"tenant": TENANT, "first_day": FIRST_DAY.isoformat()}
    many = {"tenant": TENANT, "accounts": size.accounts, "per_connection": ACCOUNTS_PER_CONNECTION}
    with duckdb.connect(str(files.primary)) as con:
        enter(con)
        con.execute(_LOADS, {**place, "accounts": size.accounts, "days": size.days})
        con.execute(_USERS, {"tenant": TENANT})
        con.execute(_CONNECTIONS, many)
        con.execute(_ACCOUNTS, many)
        con.execute(_BALANCES, {**place, **many, "days": size.days})
        con.execute(_CURRENT)
        seal(con, 1, ["users", "connections", "accounts"])
        for day in range(size.days):
            seal(con, day + 2, ["balances"])
