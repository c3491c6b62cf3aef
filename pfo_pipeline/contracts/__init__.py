"""The written contracts as typed, frozen data: operations, workflows, records, policy, telemetry, privacy.

Here: what the specifications say, once. Not here: anything that does it. This package imports nothing of ours.
"""
