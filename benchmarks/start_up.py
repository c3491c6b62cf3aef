"""(e) The cost of starting: importing the code location compared with Dagster alone, a household's run with an empty one, and
the
commands without Dagster with a Python that does nothing.
"""

import sys
from pathlib import Path

from benchmarks.ledgers import Tell
from benchmarks.measuring import Cost, Measured, run_program, run_unit
from benchmarks.results import Comparison, Part, figure, figure_of_program, is_missed, times
from benchmarks.serving import bank_server
from benchmarks.sizes import Sizes

_IMPORTS = {
    "import dagster": "import dagster",
    "import pfo_pipeline.definitions": "import pfo_pipeline.definitions",
    "definitions loaded": "from pfo_pipeline.definitions import build_defs; build_defs().get_repository_def()",
}
_EMPTY = {"empty run of four assets": 1, "two empty runs of two assets": 2}
_HOUSEHOLD = "one tenant's whole run"
_NOTHING = "python -c pass"
_COMMANDS: dict[str, tuple[str, ...]] = {
    "pfo --help": ("--help",),
    "pfo accounts": ("accounts",),
    "pfo balances --json": ("balances", "--json"),
    "pfo status": ("status",),
    "pfo sql": ("sql", "from totals"),
    "pfo connections": ("connections",),
    "pfo identity": ("identity",),
}


def measure(sizes: Sizes, folder: Path, tell: Tell) -> Part:
    imports: dict[str, list[Cost]] = {name: [] for name in _IMPORTS}
    commands: dict[str, list[Cost]] = {name: [] for name in (_NOTHING, *_COMMANDS)}
    runs: dict[str, list[Measured]] = {name: [] for name in (_HOUSEHOLD, *_EMPTY)}
    with bank_server(sizes.household) as server:
        # Once before the measurement, so that Python's bytecode, Dagster's storage and the ledger exist on both sides.
        for name in runs:
            _run(name, server.root, folder)
        for repetition in range(sizes.start_up_repetitions):
            tell(f"start-up, repetition {repetition + 1}")
            for name, code in _IMPORTS.items():
                imports[name].append(run_program([sys.executable, "-c", code])[0])
            for name, costs in commands.items():
                costs.append(run_program(_command(name, folder))[0])
            for name, measured in runs.items():
                measured.append(_run(name, server.root, folder))
        figures = {name: figure_of_program(name, costs) for name, costs in imports.items()}
        figures |= {name: figure_of_program(name, costs) for name, costs in commands.items()}
        figures |= {name: figure(name, measured) for name, measured in runs.items()}
        comparisons = _comparisons({name: f.process_cpu_seconds for name, f in figures.items()}) + tuple(
            times(f"{_HOUSEHOLD} / {name}, {what}", mine, base)
            for name in _EMPTY
            for what, mine, base in (
                (
                    "wall time of the process",
                    figures[_HOUSEHOLD].process_wall_seconds,
                    figures[name].process_wall_seconds,
                ),
                ("CPU after imports", figures[_HOUSEHOLD].cpu_seconds, figures[name].cpu_seconds),
            )
        )
        profiles = {}
        if sizes.with_profiles and is_missed(comparisons):
            tell("profiling the start")
            profiles = {
                "slow imports beyond dagster": tuple(
                    run_program([sys.executable, "-m", "benchmarks.slow_imports"])[1].splitlines()
                ),
                _HOUSEHOLD: _run(_HOUSEHOLD, server.root, folder, profile=True).profile,
            }
    return Part("e", "Start-up", tuple(figures.values()), comparisons, profiles)


def _run(name: str, root: str, folder: Path, *, profile: bool = False) -> Measured:
    if name == _HOUSEHOLD:
        return run_unit("load_by_dagster", profile=profile, root=root, data_dir=str(folder / "household"))
    return run_unit("empty_run", home=str(folder / f"empty-{_EMPTY[name]}"), jobs=_EMPTY[name])


def _command(name: str, folder: Path) -> list[str]:
    """On the ledger of the household's run; without configuration the ledger's owner is not checked."""
    if name == _NOTHING:
        return [sys.executable, "-c", "pass"]
    nowhere = ["env", "-u", "PFO_CONFIG", f"PFO_DATA_DIR={folder / 'household'}"]
    return [*nowhere, sys.executable, "-m", "pfo_pipeline.cli", *_COMMANDS[name]]


def _comparisons(cpu: dict[str, float]) -> tuple[Comparison, ...]:
    """Comparisons of the CPU seconds of whole processes."""
    dagster = cpu["import dagster"]
    mine = cpu[_HOUSEHOLD]
    return (
        times(
            "import of the code location / import dagster, CPU", cpu["import pfo_pipeline.definitions"], dagster, 1.3
        ),
        times("its definitions loaded / import dagster, CPU", cpu["definitions loaded"], dagster),
        *(
            times(f"{name} / {base}, CPU of the process", cpu[name], cpu[base])
            for name in _COMMANDS
            for base in (_NOTHING, "import dagster")
        ),
        *(
            times(f"{_HOUSEHOLD} / {name}, CPU of the process", mine, cpu[name], 1.5 if jobs == 1 else None)
            for name, jobs in _EMPTY.items()
        ),
    )
