"""One dimension: the office's tenants. A key is the tenant's slug; the configuration decides which there are."""

import dagster as dg

TENANTS = "tenants"
tenants = dg.DynamicPartitionsDefinition(name=TENANTS)
FIRST_SYNC = "new:"
"""What the run key of a new tenant's first run begins with."""
