"""Comments in the database catalogue: a sentence for each table, view, column and macro of the ledger.

Columns that belong to a contract take their text from the contract (contracts/tables.py), so that it is written once.
"""

import duckdb

from pfo_pipeline.contracts.tables import PROVENANCE, tables

_TABLE_COMMENTS = {
    "office": "The office that this ledger belongs to.",
    "migrations": "Schema versions applied to this file.",
    "loads": "Append-only log of every load: one row per merge, with counts.",
    "seals": "The rows of each load in each table: number, sum and hash of the content. The newest seal of a load is current.",
    "chain": "A hash for each load, made from the tenant's load before it; it detects later changes.",
    "erasures": "Erasures of data of a tenant or a person: time, scope and number of rows, without the person.",
    "withheld": "Columns that this copy leaves out because they are personal; empty in a complete ledger.",
    "balances_current": "Newest balance of each account; read it as balances_latest.",
    "telemetry": "Telemetry events of the contracts, with exactly their properties, masked.",
}
_COLUMN_COMMENTS = {
    "office.office": "Slug of the office, as configured.",
    "office.created_at": "When this ledger was created.",
    "migrations.version": "Number of the schema version.",
    "migrations.name": "Its name.",
    "migrations.applied_at": "When it was applied to this file.",
    "loads.load_id": "Number of the load, counted from 1.",
    "loads.tenant_id": "Slug of the tenant.",
    "loads.run_id": "Dagster run that made the load.",
    "loads.operation": "Contract operation that made the load.",
    "loads.code_version": "Version of that operation.",
    "loads.attempt": "Attempt of the step, counted from 1.",
    "loads.complete": "False for the partial result of a failed attempt, and for a run of chosen connections or accounts.",
    "loads.recorded_at": "When the ledger recorded the load; never before the previous load.",
    "loads.offered": "Rows that were read.",
    "loads.added": "Rows that differed from the ledger, and were appended.",
    "loads.quarantined": "Records that break the contract, in quarantine.",
    "loads.synced": "Accounts or balances that were read.",
    "loads.failed": "Accounts or balances that could not be read, including those in quarantine.",
    "seals.tenant_id": "Slug of the tenant.",
    "seals.load_id": "The load that wrote the seal.",
    "seals.about_load_id": "The load whose rows are sealed: another one only after an erasure.",
    "seals.table_name": "The table of the rows.",
    "seals.rows": "Number of rows.",
    "seals.amount_sum": "Sum of current_balance of any currency, amounts below 10^18; a checksum. Balances only.",
    "seals.content_hash": "SHA-256 over the rows' content; see docs/architecture.md.",
    "erasures.tenant_id": "Slug of the tenant.",
    "erasures.scope": "tenant or user.",
    "erasures.rows_removed": "Number of rows removed from all tables.",
    "withheld.table_name": "The table.",
    "withheld.column_name": "The column: null, or where it may not be null the account's id.",
    "chain.tenant_id": "Slug of the tenant.",
    "chain.load_id": "The load; see ledger.loads.",
    "chain.previous_hash": "Hash of the tenant's load before it; empty for the first.",
    "chain.hash": "SHA-256 over the previous hash, the load's line in loads and its seals.",
    "telemetry.event": "Key of the event.",
    "telemetry.tenant_id": "Slug of the tenant.",
    "telemetry.emitted_at": "When the operation ended.",
    "telemetry.properties": "Exactly the contract's properties.",
    "telemetry.load_id": "The load that carried the event; see ledger.loads.",
    "telemetry.run_id": "Dagster run that emitted the event.",
    "accounts_history.superseded_at": "When the next version was learnt; null for the newest.",
    "positions.user_id": "Slug of the user whose connection gave the newest balance.",
    "positions.as_of": "Date and time of the balance at the bank; null, as the amounts are, while the account has none.",
    "positions.recorded_at": "When the ledger recorded the balance.",
    "positions.connection_status": "healthy, needs-person, temporary, silent, paused, gone or unknown.",
    "positions.connection_state": "Powens' state of the connection, or a source's; null = OK.",
    "positions.linked_through": "Powens' ids of all connections that list the account.",
    "positions.account_class": "Class of the account: see account_types.",
    "positions.linked_id": "Id of the linked account whose balance is shown.",
    "account_identity.canonical_id": "Id of the account; the linked account's own id unless it is the same as another.",
    "account_aliases.alias_id": "An id that is no longer an account's own.",
    "account_aliases.account_id": "Id of the account that it refers to now.",
    "account_types.account_type": "Powens' account type.",
    "account_types.class": "cash, savings, card, investments, insurance, crypto or loan.",
    "coverage.linked_id": "Id of the linked account; null for a record that could not be read.",
    "coverage.account_id": "Id of the account.",
    "coverage.account_class": "Class of the account: see account_types; unclassified where its type is not there.",
    "coverage.current_balance": "Its last balance, in units of currency; null if it has none.",
    "coverage.as_of": "Date and time of that balance; null if it has none.",
    "coverage.counted": "Whether this balance is in totals.current_balance.",
    "coverage.reason": "Why it is not counted: same_as, one_of, part_of, loan, unclassified, no_balance, disabled, deleted, "
    "gone, ended or quarantined; null if it is counted.",
    "coverage.detail": "Detail of the reason: account ids and evidence, a date, a type, or the broken rule.",
    "coverage.note": "Of an account that counts: missing (no list has it) or user_not_read (no longer configured).",
    "coverage.missing_since": "Since when no list contains it.",
    "totals.accounts": "Accounts with a balance, without loans and unclassified ones; one that is linked twice counts once.",
    "totals.current_balance": "Booked balances added up, in units of currency, without loans and unclassified accounts.",
    "totals.cash": "Of these: class cash, in units of currency.",
    "totals.savings": "Of these: class savings, in units of currency.",
    "totals.cards": "Of these: class card, each card's own outstanding, in units of currency.",
    "totals.investments": "Of these: class investments, in units of currency.",
    "totals.insurance": "Of these: class insurance, in units of currency.",
    "totals.crypto": "Of these: class crypto, in units of currency.",
    "totals.unclassified": "Accounts of an unknown type added up, in units of currency; they are in no other column.",
    "totals.possibly_double": "Amounts that would no longer count if the open proposals were accepted, in units of currency.",
    "totals.loans": "Loans added up, in units of currency, negative; null if there is none.",
    "totals.oldest_as_of": "Date and time of the oldest balance among them.",
    "runs.first_load_at": "When the run's first load was recorded.",
    "runs.last_load_at": "When its last load was recorded.",
    "runs.attempts": "Number of attempts.",
    "runs.complete": "Whether an attempt completed the step and read everything of the tenant.",
}
# The source of the text for a column that is not named above: the first of these tables that has the column.
_SOURCES = {
    "balances_current": ("balances",),
    "users_latest": ("users",),
    "connections_latest": ("connections",),
    "accounts_latest": ("accounts",),
    "accounts_history": ("accounts",),
    "balances_latest": ("balances",),
    "positions": ("balances", "accounts"),
    "account_identity": ("identities",),
    "account_aliases": ("identities",),
    "identities_proposed": ("account_proposals", "identities"),
    "quarantine_latest": ("quarantine",),
    "coverage": ("accounts",),
    "runs": ("loads",),
    "totals": ("balances",),
    "erasures": ("balances",),
}
_VIEW_COMMENTS = {
    "users_latest": "Result of the last read of each user.",
    "connections_latest": "Newest state of each connection.",
    "accounts_latest": "Newest version of each account, disabled and deleted ones included.",
    "accounts_history": "Every version of each account, with when it was superseded.",
    "balances_latest": "Newest balance of each account, by the bank's own date.",
    "positions": "Accounts that count, each once, with their newest balance, its date and the state of the connection.",
    "account_identity": "The account of each linked account, by the newest decision.",
    "account_aliases": "Former ids of accounts, and the account that each refers to now.",
    "account_types": "The class of each account type of Powens. A type that is not here is unclassified.",
    "coverage": "Every linked account that a bank ever sent: counted, or the reason why not.",
    "quarantine_latest": "Records of Powens in quarantine, each with its last reason.",
    "identities_proposed": "Accounts that may be the same as another; a person decides with pfo identity.",
    "totals": "Totals of each tenant and currency, loans apart; an account that is linked twice counts once.",
    "runs": "One row per run, tenant and operation: attempts, rows added, synced, failed.",
}
_FUNCTION_COMMENTS = {
    "is_date": "Whether an argument is a date: a DATE, or a text such as '2026-06-30'. Helper of the macros.",
    "end_in": "The exact time of a date or time in a time zone: a date is the end of that day. Helper of the macros.",
    "moment_of": "The exact time of a date or time for a tenant, in its time zone as known then. Helper of the macros.",
    "counts_from": "When a balance begins to count: at its date, or when it was recorded if its date lies ahead. Helper of "
    "the macros.",
    "total_of": "Sum of the amounts that count; null if one is 10^18 or more. Helper of the macros.",
    "is_by": "Whether a time is not after another time or date, for a tenant. Helper of the macros.",
}
_MACRO_COMMENTS = {
    "time_zones_as_of": "The time zone of each tenant, as known at a time.",
    "linked_balances_as_of": "Like balances_as_of, but for each linked account, with all columns.",
    "proposals_as_of": "Open proposals that two accounts are one, at a time.",
    "quarantine_as_of": "Records of Powens in quarantine at a time, each with its last reason.",
    "links_as_of": "Every linked account with its last balance at a time, and the reason why it does not count (out).",
    "positions_as_of": "Each account that counts at a time, once, with its newest balance, as known at another time "
    "(known_at; default: all).",
    "coverage_as_of": "Like coverage, at a time and as known at another (known_at; default: all).",
    "account_identity_as_of": "The account of each linked account, by the decisions up to a time.",
    "balances_as_of": "Balance of each account at a time, as known at another time (known_at; default: all); "
    "includes accounts that are disabled or gone.",
    "accounts_as_of": "The version of each account at a time, by the time of recording.",
    "cash_position": "Sums per tenant and currency, in units of it, of the accounts that count at a time, as known at "
    "another (known_at; default: all); total without loans, loans negative.",
    "balance_history": "Every recorded balance of one account, in units of currency, and when a correction superseded it.",
    "restatements": "Balances that differ from what was known at a time: known then, known now, now less "
    "then (null if the currencies differ), and the run that changed them.",
    "freshness": "Age of the balance of each account that counts at a time: an interval; null if it has none.",
}


def write_comments(con: duckdb.DuckDBPyConnection) -> None:
    for name, text in _TABLE_COMMENTS.items():
        con.execute(f"comment on table {name} is {_literal(text)}")
    for name, text in _VIEW_COMMENTS.items():
        con.execute(f"comment on view {name} is {_literal(text)}")
    for name, text in _FUNCTION_COMMENTS.items():
        con.execute(f"comment on macro {name} is {_literal(text)}")
    for name, text in _MACRO_COMMENTS.items():
        con.execute(f"comment on macro table {name} is {_literal(text)}")
    texts = dict(_COLUMN_COMMENTS)
    for table in tables():
        con.execute(f"comment on table {table.name} is {_literal(table.description)}")
        texts |= {f"{table.name}.{c.name}": c.description for c in (*table.columns, *PROVENANCE)}
    columns = con.execute(
        "select table_name, column_name from information_schema.columns "
        "where table_catalog = current_database() and table_schema = 'ledger'"
    ).fetchall()
    for name, column in columns:
        keys = [f"{source}.{column}" for source in (name, *_SOURCES.get(name, ()))]
        known = [texts[key] for key in keys if key in texts]
        if known:  # Otherwise somebody added the table or column; `pfo verify` reports it.
            con.execute(f"comment on column {name}.{column} is {_literal(known[0])}")


def _literal(text: str) -> str:
    """Quote a text as an SQL literal: COMMENT ON takes no parameter. The texts are our own constants."""
    return "'" + text.replace("'", "''") + "'"
