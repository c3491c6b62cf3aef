"""The same fixtures as for the Dagster layer."""

from pfo_pipeline_tests.defs.conftest import bank, empty_history, instance, lasting_instance, office

__all__ = ["bank", "empty_history", "instance", "lasting_instance", "office"]
