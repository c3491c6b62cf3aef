"""A judge of totals that shares nothing with the product: its own bank, its own reading of the bytes, its own answer."""
