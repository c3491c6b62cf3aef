"""The Dagster layer, in this process, over real HTTP against the simulator."""
