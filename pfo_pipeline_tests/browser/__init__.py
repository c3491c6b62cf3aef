"""The whole system for an operator: `pfo dev` with the simulated bank, seen through a browser."""
