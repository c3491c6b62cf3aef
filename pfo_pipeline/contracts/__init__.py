"""The written contracts as typed, frozen data: operations, workflows, records, policy, telemetry, privacy.

This package imports no other package of ours.
"""
