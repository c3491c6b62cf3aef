"""`python -m pfo_pipeline.cli` is `pfo`."""

from pfo_pipeline.cli import main

main(prog_name="pfo")
