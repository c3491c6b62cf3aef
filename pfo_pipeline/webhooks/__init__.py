"""What Powens posts, received and kept until a sensor has turned it into runs. The ledger is not touched here."""
