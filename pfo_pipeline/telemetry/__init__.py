"""What the pipeline tells machines about its own work: traces and metrics (measures.py), log lines as JSON (lines.py).

Off unless asked for, and then for free. Redacted here, at the source: what is told are names of our own, ids, counts and
durations; text is scrubbed, and nothing of a person is among them.
"""
