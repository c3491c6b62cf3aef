"""Posts from Powens: receive them and store them until a sensor starts runs. This package does not use the ledger."""
