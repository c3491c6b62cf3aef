"""Who is told of what: a condition that somebody must end is told once, again by policy, and once more when it is over.

| module        | holds                                                                          |
|---------------|--------------------------------------------------------------------------------|
| conditions.py | what a condition is                                                            |
| findings.py   | conditions found in the ledger; those of runs and sensors: defs/conditions.py  |
| book.py       | from what is true and what was told follows what to tell: pure functions       |
| store.py      | the book as a file                                                             |
| messages.py   | the words                                                                      |
| log.py        | `data/alerts.jsonl`, which is told everything, for a monitor to follow         |
| targets.py    | addresses of the configuration, and the way there (Apprise)                    |
| telling.py    | looking, then telling each target what it has not been told                    |

Nothing personal is in a text: no name of a person, no account, no amount; and no secret.
"""
