"""(d) Publication at every size, compared with copying the same bytes and syncing them to disk; and the check of the whole
ledger.
"""

from benchmarks.ledgers import FilledLedger, Tell
from benchmarks.measuring import Measured, run_unit
from benchmarks.results import Comparison, Part, figure, times
from benchmarks.sizes import Sizes


def measure(sizes: Sizes, ledgers: tuple[FilledLedger, ...], tell: Tell) -> Part:
    published: dict[str, list[Measured]] = {ledger.name: [] for ledger in ledgers}
    copied: dict[str, list[Measured]] = {ledger.name: [] for ledger in ledgers}
    for repetition in range(sizes.publication_repetitions):
        tell(f"publications, repetition {repetition + 1}")
        for ledger in ledgers:
            published[ledger.name].append(run_unit("publish", data_dir=str(ledger.folder)))
            copied[ledger.name].append(run_unit("copy_file", source=str(ledger.folder / "ledger.duckdb")))
    figures = {name: figure(f"publish {name}", runs) for name, runs in published.items()}
    floors = {name: figure(f"copy and sync {name}", runs) for name, runs in copied.items()}
    comparisons: list[Comparison] = []
    for name, mine in figures.items():
        floor = floors[name]
        assert mine.facts["bytes"] == floor.facts["bytes"], "not the same file"
        comparisons += [
            times(f"{name}, publish / copy and sync, CPU", mine.cpu_seconds, floor.cpu_seconds),
            times(f"{name}, publish / copy and sync, wall time", mine.wall_seconds, floor.wall_seconds),
        ]
    tell("verifying the ledgers")
    checks = [figure(f"verify {ledger.name}", [run_unit("verify", data_dir=str(ledger.folder))]) for ledger in ledgers]
    title = "Publication at growing sizes, and the check of the proof"
    return Part("d", title, (*figures.values(), *floors.values(), *checks), tuple(comparisons))
