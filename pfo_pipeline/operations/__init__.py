"""One function per contract operation, `(context, input) -> output`, and the workflow steps made of them.

This package does not import dagster: assets, the command line and tests use the same functions.
"""
