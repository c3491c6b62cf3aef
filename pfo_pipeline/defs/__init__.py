"""All Dagster code. Only this package imports Dagster."""
