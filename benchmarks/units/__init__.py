"""The units of work that are measured. Each module has `prepare(arguments) -> Work`; see benchmarks/unit.py."""
