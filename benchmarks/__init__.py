"""Measured comparisons, run by hand with `make bench`; each unit of work runs in a process of its own.

| module                                          | holds                                                            |
|-------------------------------------------------|------------------------------------------------------------------|
| `first_load`, `merge_cost`, `queries`, `publication`, `start_up` | the five parts: which units, in which order, which aims |
| `units/`                                        | what is measured: `prepare` returns the work, set up beforehand  |
| `measuring`, `results`                          | running a unit and reading its costs; medians, aims              |
| `sizes`, `history`, `office`, `ledgers`         | how large everything is, made-up rows, the ledgers they fill     |
| `bank`, `bank_server`, `serving`                | Powens-shaped pages, and the process that serves them            |
| `report`, `machine`, `notes.md`                 | what is written to `results/`                                    |
The pipeline imports nothing of this package.
"""
