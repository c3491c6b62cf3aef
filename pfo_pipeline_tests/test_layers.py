"""Who may import whom, read from the source and from what a fresh interpreter really loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pfo_pipeline

ROOT = Path(pfo_pipeline.__file__).parent

# The arrows go one way: contracts <- powens, ledger <- operations <- alerts <- defs <- definitions, cli.
# Beside them stand errors, which everyone may raise, and the configuration.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "contracts": set(),
    "telemetry": {"contracts"},
    "alerts": {"contracts", "config", "errors", "powens", "ledger", "operations"},
    "simulator": set(),
    "config": {"contracts", "errors"},
    "powens": {"contracts", "telemetry", "config", "errors"},
    "ledger": {"contracts", "telemetry", "config", "errors"},
    "webhooks": {"contracts", "config", "errors", "powens"},
    "operations": {"contracts", "config", "errors", "powens", "ledger"},
    "report": {"contracts", "telemetry", "config", "errors", "powens", "ledger", "operations"},
    "defs": {
        *(
            "contracts",
            "telemetry",
            "config",
            "errors",
            "alerts",
            "powens",
            "ledger",
            "operations",
            "report",
            "webhooks",
        ),
    },
    "read": {"errors", "ledger"},
    "definitions": {"contracts", "telemetry", "config", "errors", "defs"},
}
# Programs: nobody imports them but each other.
PROGRAMS = {"cli", "commands"}
WITHOUT_DAGSTER = (
    *(
        "errors",
        "contracts",
        "telemetry",
        "alerts",
        "config",
        "powens",
        "ledger",
        "webhooks",
        "operations",
        "read",
        "report",
        "simulator",
    ),
)
# Where amounts pass: a binary float there is a lost cent.
MONEY_PATHS = ("contracts", "powens", "ledger", "operations", "report")


def sources(part: str) -> list[Path]:
    """The modules of a part, which is a package or one file."""
    return sorted((ROOT / part).rglob("*.py")) or [ROOT / f"{part}.py"]


def parts() -> set[str]:
    files = {path.stem for path in ROOT.glob("*.py") if path.stem != "__init__"}
    return files | {path.parent.name for path in ROOT.glob("*/__init__.py")}


def imports(path: Path) -> Iterator[str]:
    """Full names of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(part: str) -> dict[str, list[str]]:
    """Other parts that a part imports, with the modules that do."""
    found: dict[str, list[str]] = {}
    for path in sources(part):
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package == "pfo_pipeline" and other != part:
                found.setdefault(other, []).append(str(path.relative_to(ROOT)))
    return found


def modules(part: str) -> list[str]:
    names = (path.relative_to(ROOT.parent).with_suffix("").parts for path in sources(part))
    return [".".join(name).removesuffix(".__init__") for name in names if name[-1] != "__main__"]


def test_every_part_of_the_program_has_its_place() -> None:
    assert parts() <= set(ALLOWED) | PROGRAMS


@pytest.mark.parametrize("part", sorted(parts() - PROGRAMS))
def test_imports_go_one_way(part: str) -> None:
    against = {other: by for other, by in imported_parts(part).items() if other not in ALLOWED[part]}

    assert against == {}


@pytest.mark.parametrize("part", sorted(parts() - {"cli", "simulator"}))
def test_only_the_command_line_knows_the_simulator(part: str) -> None:
    assert imported_parts(part).get("simulator", []) == []


def test_programs_are_imported_by_programs_only() -> None:
    for part in sorted(parts() - PROGRAMS):
        assert not PROGRAMS & set(imported_parts(part)), part


@pytest.mark.parametrize("part", WITHOUT_DAGSTER)
def test_only_the_package_for_dagster_names_dagster(part: str) -> None:
    naming = [str(path) for path in sources(part) for name in imports(path) if name.partition(".")[0] == "dagster"]

    assert naming == []


def loaded_by(names: list[str]) -> set[str]:
    """Top-level packages in a fresh interpreter once the modules are imported."""
    program = f"import sys, {', '.join(names)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_domain_code_loads_no_dagster() -> None:
    names = [name for part in WITHOUT_DAGSTER for name in modules(part)]
    assert len(names) > 40

    loaded = loaded_by(names)

    assert "pfo_pipeline" in loaded
    assert not {name for name in loaded if name.startswith("dagster")}


def test_contracts_load_neither_network_nor_database() -> None:
    loaded = loaded_by(modules("contracts"))

    assert not loaded & {"httpx", "aiohttp", "duckdb", "pandas", "pyarrow", "starlette"}


def test_the_simulator_loads_nothing_of_the_pipeline() -> None:
    program = f"import sys, {', '.join(modules('simulator'))}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    ours = {name.split(".")[1] for name in done.stdout.split() if name.startswith("pfo_pipeline.")}

    assert ours == {"simulator"}


@pytest.mark.parametrize("part", MONEY_PATHS)
def test_money_meets_no_binary_float(part: str) -> None:
    # Seconds to wait are no money.
    harmless = {("client.py", "told")}
    calls = [
        (path.name, ast.unparse(node.args[0]) if node.args else "")
        for path in sources(part)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    ]

    assert set(calls) <= harmless
