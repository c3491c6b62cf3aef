"""Plays and judges one seed, for the suite and for long runs."""

import gc
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfo_pipeline_tests.simulation.judge import judged
from pfo_pipeline_tests.simulation.plan import draw
from pfo_pipeline_tests.simulation.play import Played, played

_MEMORY = Path("/dev/shm")  # noqa: S108
_LAST_EVENTS = 30


class SeedFailed(AssertionError):
    """A half-year with errors. The message names the seed, the command to repeat it, and its plan."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for seeds, in memory if the machine allows it: it need not survive a power cut."""
    folder = Path(tempfile.mkdtemp(prefix="pfo-seeds-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        gc.freeze()  # Exclude imported objects from garbage collection, which saves a tenth of the time.
        yield folder
    finally:
        gc.unfreeze()
        shutil.rmtree(folder)


@contextmanager
def half_year(seed: int, workplace: Path) -> Iterator[Played]:
    """Play a seed in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"{seed}-", dir=workplace))
    try:
        with played(draw(seed), folder) as over:
            yield over
    finally:
        shutil.rmtree(folder)


def check(seed: int, workplace: Path) -> None:
    """Play a seed and judge it.

    Raises: SeedFailed.
    """
    try:
        with half_year(seed, workplace) as over:
            findings = judged(over)
    except Exception as error:
        raise SeedFailed(_told(seed, [f"{type(error).__name__}: {error}"])) from error
    if findings:
        raise SeedFailed(_told(seed, findings))


def _told(seed: int, findings: list[str]) -> str:
    plan = draw(seed)
    return "\n".join(
        [
            f"Seed {seed}: {len(findings)} findings. See it again: make simulate SEED={seed}",
            *(f"- {finding}" for finding in findings),
            f"Its last events, for {', '.join(plan.members)} in {plan.zone}:",
            plan.told(_LAST_EVENTS),
        ]
    )
