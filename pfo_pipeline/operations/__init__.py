"""One function per contract operation, `(context, input) -> output`, and the workflow steps made of them.

Nothing here imports dagster: the same functions serve assets, the command line and tests.
"""
