"""Tests of the ledger: storing, publishing and reading, in one process and in several."""
