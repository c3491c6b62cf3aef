"""The operations and the steps made of them, over real HTTP against a simulated bank and on a real ledger."""
