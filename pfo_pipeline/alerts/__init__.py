"""Alerts: each condition that a person must resolve is notified once, again by policy, and once more when it is over.

| module        | holds                                                                      |
|---------------|----------------------------------------------------------------------------|
| conditions.py | conditions, and those that the ledger shows (Dagster's: defs/run_health.py) |
| state.py      | which target was notified of which condition, as a file                    |
| notify.py     | messages, targets (Apprise) and the log `data/alerts.jsonl`                |

No text contains a person's name, an account, an amount or a secret.
"""
