"""`pfo`: one command line for the operator, the analyst and scripts."""

from pfo_pipeline.cli.app import main

__all__ = ["main"]
