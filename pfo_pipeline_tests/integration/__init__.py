"""The pipeline in real use: real programs, real files, real HTTP, and guarantees under failures."""
