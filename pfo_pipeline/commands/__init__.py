"""What the commands of `pfo` do. Thin: the work is in operations/, ledger/ and defs/.

Modules that need Dagster (workflows.py) are imported by the command that needs them, when it runs: importing Dagster
costs over a second.
"""
