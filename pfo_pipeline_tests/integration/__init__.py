"""The pipeline as it is used: real programs, real files, real HTTP, and what must hold while they go wrong."""
