"""Bank accounts and balances from Powens, synced by Dagster into one canonical DuckDB ledger.

Import the submodules directly; importing this package does no work.
"""
