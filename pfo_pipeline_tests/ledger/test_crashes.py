"""A ledger that is killed at any point and run again ends in the normal state, and readers only see complete states."""

import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline_tests.ledger.killing import (
    At,
    AtLine,
    AtMoment,
    AtStep,
    Point,
    content_hash,
    contradictions,
    kill,
    run_until,
)
from pfo_pipeline_tests.ledger.samples import (
    APRIL_1,
    MARCH_30,
    MARCH_31,
    a_ledger,
    account,
    balance,
    batch,
    connection,
    drift,
    event,
    put_aside,
    user,
)

CRASHES = int(os.environ.get("CRASHES", "3"))
"""Number of random crashes of each kind, from each initial state; with CRASHES=300 they take a quarter of an hour."""
SEED = os.environ.get("SEED", "a night without a power supply")

YESTERDAY = batch(
    user(), connection(), account(), account("acc_2"), balance("1"), balance("2", account_id="acc_2"),
    telemetry=(event(synced=2),),
)  # fmt: skip
ACCOUNTS = batch(
    user(status="refused"), connection(state="wrongpass"), account(display_name="Renamed"), account("acc_3"),
    drift(), put_aside(),
    telemetry=(event(synced=3),),
)  # fmt: skip
BALANCES = batch(
    balance("1.01"),  # a correction
    balance("5", MARCH_30, account_id="acc_2"),  # late
    balance("3", APRIL_1, account_id="acc_2"),
    *(balance("0.1", MARCH_31 + timedelta(days=day), account_id="acc_3") for day in range(50)),
    telemetry=(event(synced=4),),
)  # fmt: skip


def run(data_dir: Path) -> None:
    """Do the pipeline's work on its ledger for one tenant: the accounts and their publication, then the balances."""
    ledger = a_ledger(data_dir, deadline_seconds=5)  # The deadline would show a lock that a dead process still holds.
    for step in (ACCOUNTS, BALANCES):
        ledger.merge(step)
        ledger.publish()


@dataclass(frozen=True)
class Undisturbed:
    """A ledger before the run, and the states that readers see during an undisturbed run."""

    before: Path
    states: tuple[str | None, ...]
    steps: tuple[str, ...]
    lines: int

    @property
    def last(self) -> str | None:
        return self.states[-1]


def undisturbed(folder: Path, before: Path) -> Undisturbed:
    ledger = a_ledger(shutil.copytree(before, folder / "step by step"))
    states = [shown(ledger.files)]
    for step in (ACCOUNTS, BALANCES):
        ledger.merge(step)
        ledger.publish()
        states.append(shown(ledger.files))
    whole = shutil.copytree(before, folder / "whole")
    ended = run_until(AtLine(0), run, whole)
    assert ended.killed_by is None
    assert shown(LedgerFiles(whole)) == states[-1]
    assert len(set(states)) == 3
    return Undisturbed(before, tuple(states), ended.steps, ended.lines)


def shown(files: LedgerFiles) -> str | None:
    """Return what a reader finds; None before the first publication."""
    if not files.published.exists():
        return None
    assert contradictions(files.published) == []
    return content_hash(files.published)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The very first run: there are no files."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "before").mkdir()
    return undisturbed(folder, folder / "before")


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run after an earlier one that has published."""
    folder = tmp_path_factory.mktemp("daily")
    ledger = a_ledger(folder / "before")
    ledger.merge(YESTERDAY)
    ledger.publish()
    return undisturbed(folder, folder / "before")


def check_that_a_run_mends(files: LedgerFiles, usual: Undisturbed) -> None:
    """Check after a kill: readers see a complete state, and one further run ends like an undisturbed run."""
    assert shown(files) in usual.states

    run(files.data_dir)

    assert shown(files) == usual.last
    assert files.published.read_bytes() == files.primary.read_bytes()
    assert {path.name for path in files.data_dir.iterdir()} == {"ledger.duckdb", "private"}
    assert not files.primary.with_suffix(".duckdb.wal").exists()


IN_THE_FIRST_RUN = (
    # The first file is completed beside its place.
    At("after", "open draft"),
    At("after", "begin draft"),
    At("before", "insert into office"),
    At("after", "commit draft"),
    At("before", "close draft"),
    At("after", "chmod draft"),
    At("before", "replace canonical.duckdb"),
    At("after", "replace canonical.duckdb"),
    At("after", "open canonical.duckdb"),
    At("after", "chmod canonical.duckdb"),
    At("after", "begin canonical.duckdb"),
    At("before", "commit canonical.duckdb"),
    At("after", "commit canonical.duckdb"),
)
IN_A_MERGE = (
    At("after", "lock"),
    At("after", "open canonical.duckdb"),
    At("after", "begin canonical.duckdb"),
    At("after", "insert into accounts"),
    At("after", "insert into telemetry"),
    At("after", "insert into loads"),
    At("before", "insert into chain"),
    At("after", "insert into chain"),
    At("before", "commit canonical.duckdb"),
    At("after", "commit canonical.duckdb"),
    At("after", "unlock"),
    At("after", "insert into balances"),
    At("after", "merge into balances_current"),
    At("after", "commit canonical.duckdb", 2),
)
IN_A_PUBLICATION = (
    At("before", "checkpoint"),
    At("after", "checkpoint"),
    At("in the middle of", "copy"),
    At("after", "copy"),
    # The draft is read back before it replaces the published copy.
    At("after", "attach draft as"),
    At("after", "select bit_xor(hash(t)) from"),
    At("before", "chmod draft"),
    At("after", "fsync file"),
    At("before", "replace ledger.duckdb"),
    At("after", "replace ledger.duckdb"),
    At("before", "replace ledger.duckdb", 2),
    At("after", "replace ledger.duckdb", 2),
)


@pytest.mark.parametrize("point", IN_THE_FIRST_RUN, ids=str)
def test_the_next_run_repairs_a_killed_first_run(point: Point, first: Undisturbed, tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")

    kill(point, run, files.data_dir)

    check_that_a_run_mends(files, first)


def test_a_primary_is_private_even_if_its_creator_dies_at_once(tmp_path: Path) -> None:
    files = LedgerFiles(tmp_path / "data")

    kill(At("after", "open canonical.duckdb"), run, files.data_dir)
    run(files.data_dir)

    assert files.primary.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("point", [*IN_A_MERGE, *IN_A_PUBLICATION], ids=str)
def test_the_next_run_repairs_a_killed_daily_run(point: Point, daily: Undisturbed, tmp_path: Path) -> None:
    files = LedgerFiles(shutil.copytree(daily.before, tmp_path / "data"))

    kill(point, run, files.data_dir)

    check_that_a_run_mends(files, daily)


def drawn(usual: Undisturbed, kind: str) -> Iterator[tuple[Point, ...]]:
    """Yield series of crashes; each crash starts from the state that the previous one left."""
    dice = random.Random(f"{SEED}, {kind}")  # noqa: S311
    left = CRASHES
    while left > 0:
        row: tuple[Point, ...]
        if kind == "step":
            # Not within the comments of the schema, which are most of the steps of a first run.
            steps = [number for number, step in enumerate(usual.steps, 1) if "comment on" not in step]
            row = tuple(AtStep(dice.choice(steps)) for _ in range(3))
        elif kind == "line":
            row = tuple(AtLine(dice.randint(1, usual.lines)) for _ in range(3))
        else:
            row = tuple(AtMoment(dice.uniform(0.001, 0.3)) for _ in range(3))
        yield row
        left -= len(row)


@pytest.mark.parametrize("kind", ["step", "line", "moment"])
@pytest.mark.parametrize("beginning", ["first", "daily"])
def test_random_crashes_one_upon_the_other_are_fixed_by_a_run(
    beginning: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    usual: Undisturbed = request.getfixturevalue(beginning)
    for number, row in enumerate(drawn(usual, kind)):
        files = LedgerFiles(shutil.copytree(usual.before, tmp_path / str(number)))
        seen = [0]
        try:
            for point in row:
                ended = run_until(point, run, files.data_dir)
                assert kind == "moment" or ended.killed_by in (signal.SIGKILL, None)
                seen.append(usual.states.index(shown(files)))
            assert seen == sorted(seen), "readers were taken back to an earlier state"
            check_that_a_run_mends(files, usual)
        except BaseException as error:
            error.add_note(f"SEED={SEED!r}, row {number}: {row}")
            raise
        shutil.rmtree(files.data_dir)
