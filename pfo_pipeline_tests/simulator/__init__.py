"""Behaviour of the simulated Powens, seen by a client over real HTTP."""
