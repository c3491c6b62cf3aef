"""The same arrangement as for the Dagster layer."""

from pfo_pipeline_tests.defs.conftest import bank, instance, office

__all__ = ["bank", "instance", "office"]
