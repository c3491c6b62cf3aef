"""The provider: everything that knows Powens, and nothing that knows Dagster or DuckDB."""
