"""The whole thing as an operator has it: `pfo dev` with the simulated bank, seen through a browser."""
