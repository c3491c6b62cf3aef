"""Alerts: each condition that somebody must end is notified once, again by policy, and once more when it is over.

| module        | holds                                                                      |
|---------------|----------------------------------------------------------------------------|
| conditions.py | conditions, and those that the ledger shows (Dagster's: defs/run_health.py) |
| state.py      | which target was notified of what, as a file                               |
| notify.py     | messages, targets (Apprise) and the log `data/alerts.jsonl`                |

No text holds a name of a person, an account, an amount or a secret.
"""
