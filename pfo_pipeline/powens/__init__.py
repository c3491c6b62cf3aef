"""The Powens provider. Only this package knows Powens; it does not know Dagster or DuckDB."""
