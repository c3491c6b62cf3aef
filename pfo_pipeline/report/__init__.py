"""The cash page: one self-contained HTML file with a family's balances, their banks, their dates and the changes."""
