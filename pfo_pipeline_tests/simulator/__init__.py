"""Behaviour of the simulated Powens, as a client sees it over real HTTP."""
