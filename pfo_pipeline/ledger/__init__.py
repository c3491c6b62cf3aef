"""The canonical DuckDB ledger. Nothing here knows Powens or Dagster.

One interface: `store.Ledger` writes and publishes, `reader.Reader` reads. The pipeline's primary is private; analysts
open the published copy.
"""
