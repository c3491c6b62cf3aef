"""Plays many seeds for `make simulate SEEDS=5000`: on all processors, continuing after the last run."""

import argparse
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path

from pfo_pipeline_tests.simulation import seeds

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".simulation"
INTERRUPTED = 130
_workplace: Path


def main() -> int:
    """Returns: 0 when every seed passed, 1 when one failed, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description="Play half-years against the simulated bank, one per seed.")
    parser.add_argument("--seeds", type=int, default=1000, help="play seeds 0 to SEEDS - 1 (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="play this seed alone, even if it has passed before")
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job ignores Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # With any other end its workers would stay alive.
    if chosen.seed is not None:
        return _one(chosen.seed)
    record = KEPT / f"{_tree()}.passed"
    passed = set(map(int, record.read_text("utf-8").split())) if record.exists() else set()
    missing = [seed for seed in range(chosen.seeds) if seed not in passed]
    print(f"{chosen.seeds} seeds, {chosen.seeds - len(missing)} of them passed before with this source", flush=True)  # noqa: T201
    return _many(missing, record)


def _one(seed: int) -> int:
    with seeds.workplace() as folder:
        try:
            seeds.check(seed, folder)
        except seeds.SeedFailed as failure:
            print(failure)  # noqa: T201
            return 1
    print(f"Seed {seed} passed.")  # noqa: T201
    return 0


def _many(missing: list[int], record: Path) -> int:
    KEPT.mkdir(exist_ok=True)
    began, failed, done = time.monotonic(), 0, 0
    with seeds.workplace() as folder, record.open("a", encoding="utf-8") as passed:
        pool = ProcessPoolExecutor(max_workers=os.cpu_count(), initializer=_begin, initargs=(folder,))
        try:
            for seed, failure in _played(pool, missing):
                done += 1
                if failure is None:
                    passed.write(f"{seed}\n")
                    passed.flush()
                else:
                    failed += 1
                    print(f"\n{failure}\n", flush=True)  # noqa: T201
                _show(done, len(missing), failed, time.monotonic() - began)
        except KeyboardInterrupt:
            print("\nEnded. The same command goes on from here.")  # noqa: T201
            return INTERRUPTED
        finally:
            pool.shutdown(cancel_futures=True)
    print()  # noqa: T201
    return 1 if failed else 0


def _played(pool: ProcessPoolExecutor, missing: list[int]) -> Iterator[tuple[int, str | None]]:
    """Each finished seed with its problem; only as many run at once as there are processors."""
    waiting = iter(missing)
    under_way: set[Future[tuple[int, str | None]]] = {
        pool.submit(_play, seed) for seed in islice(waiting, 2 * (os.cpu_count() or 1))
    }
    while under_way:
        ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        for future in ended:
            yield future.result()
            under_way |= {pool.submit(_play, seed) for seed in islice(waiting, 1)}


def _begin(folder: Path) -> None:
    """In a worker: the parent handles Ctrl-C."""
    global _workplace
    _workplace = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _play(seed: int) -> tuple[int, str | None]:
    try:
        seeds.check(seed, _workplace)
    except seeds.SeedFailed as failure:
        return seed, str(failure)
    return seed, None


def _show(done: int, of: int, failed: int, seconds: float) -> None:
    left = seconds / done * (of - done)
    line = f"{done} of {of} played, {failed} failed, {seconds / done:.2f} s each, {left / 60:.0f} min left"
    print(f"\r{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)  # noqa: T201


def _tree() -> str:
    """A hash of the whole source, tests included: a passed seed counts only for this source."""
    total = hashlib.sha256()
    for path in sorted(
        [*ROOT.glob("pfo_pipeline/**/*"), *ROOT.glob("pfo_pipeline_tests/**/*.py"), ROOT / "requirements.lock"]
    ):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
