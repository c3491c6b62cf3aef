"""The ledger: what is stored, published and read back, in one process and in several."""
