"""Measured comparisons, run by hand with `make bench`; each unit of work runs in a process of its own.

| module                                          | holds                                                            |
|-------------------------------------------------|------------------------------------------------------------------|
| `first_load`, `merge_cost`, `queries`, `publication`, `start_up` | the five parts: their units, order and aims |
| `units/`                                        | the measured work: `prepare` sets it up and returns it           |
| `measuring`, `results`                          | running a unit and reading its costs; medians, aims              |
| `sizes`, `history`, `office`, `ledgers`         | sizes, fictitious rows, and the ledgers that they fill           |
| `bank`, `bank_server`, `serving`                | pages in Powens' form, and the process that serves them          |
| `report`, `machine`, `notes.md`                 | the files in `results/`                                          |
The pipeline imports nothing of this package.
"""
