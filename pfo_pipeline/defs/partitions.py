"""One dimension: the office's tenants. A key is the tenant's slug; the configuration lists the tenants."""

import dagster as dg

TENANTS = "tenants"
tenants = dg.DynamicPartitionsDefinition(name=TENANTS)
FIRST_SYNC = "new:"
"""Prefix of the run key of a new tenant's first run."""
