"""The canonical DuckDB ledger. This package does not depend on Powens or Dagster.

`store.Ledger` writes and publishes, `reader.Reader` reads. The pipeline's primary is private; analysts open the published
copy.
"""
