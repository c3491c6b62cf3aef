"""Generated pages match the code; handwritten pages beside them are complete."""

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from docs._ext import configuration as configuration
from docs._ext import contracts as contracts
from docs._ext import dbt, diagram
from docs._ext import ledger as ledger
from pfo_pipeline.config.model import AlertSettings, Config, RepeatHours, ReportSettings, Tenant, User
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline_tests.docs.pages import DOCS, PROJECT, read


@pytest.mark.parametrize(
    ("module", "path"),
    [
        (contracts, DOCS / "contracts.md"),
        (ledger, DOCS / "ledger.md"),
        (dbt, DOCS / "dbt" / "sources.yml"),
        (configuration, DOCS / "configuration.md"),
        (diagram, DOCS / "images" / "ledger.svg"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_a_generated_page_matches_its_source(module: object, path: Path) -> None:
    render = module.render  # type: ignore[attr-defined]
    name = getattr(module, "__name__", "")

    assert read(path) == render(), f"renew it: python -m {name} > {path.relative_to(PROJECT)}"


@pytest.mark.parametrize("model", [Config, Tenant, User, AlertSettings, RepeatHours, ReportSettings, Freshness])
def test_every_key_of_the_configuration_is_on_the_page(model: type[BaseModel]) -> None:
    page = read(DOCS / "configuration.md")
    hidden = {"source"} if model is Config else {"id"} if model is Tenant else set()
    for key in set(model.model_fields) - hidden:
        assert f"| `{key}` |" in page or f".{key}]" in page or f"[{key}" in page, key


def test_every_key_of_the_example_is_on_the_page() -> None:
    page = read(DOCS / "configuration.md")
    example = (PROJECT / "pfo.example.toml").read_text("utf-8")
    keys = re.findall(r"^(?:# )?([a-z_]+) = ", example, re.MULTILINE)

    assert len(keys) > 20
    assert [key for key in keys if f"| `{key}` |" not in page and f".{key}]" not in page] == []


def test_every_variable_that_the_program_reads_is_on_the_page() -> None:
    modules = [path for path in (PROJECT / "pfo_pipeline").rglob("*.py") if "simulator" not in path.parts]
    named = r'"((?:PFO|DAGSTER|OTEL)_[A-Z_]+)"|environ(?:\.get\(|\[)"([A-Z_]+)"'
    read_ones = {ours or other for path in modules for ours, other in re.findall(named, read(path))}
    page = set(re.findall(r"`([A-Z_]{4,})`", read(DOCS / "environment.md")))

    assert {"PFO_CONFIG", "PFO_DATA_DIR", "PFO_ROLE", "PFO_LOG", "DAGSTER_HOME"} <= read_ones
    assert page == read_ones | {"FORCE_COLOR"}  # rich's own variable


def test_every_metric_is_documented() -> None:
    code = "".join(read(path) for path in (PROJECT / "pfo_pipeline").rglob("*.py"))
    output = re.findall(r'\b(measured|recorded|counted)\(\s*"(pfo\.[\w.]+)"', code)
    metrics = {f"{name}.duration" if kind == "measured" else name for kind, name in output}
    table = read(DOCS / "operations.md").partition("| metric (")[2].partition("\n\n")[0]

    assert len(metrics) > 10
    assert set(re.findall(r"`(pfo\.[\w.]+)`", table)) == metrics


def test_the_front_page_has_the_results_of_the_last_measurement() -> None:
    results = read(PROJECT / "benchmarks" / "results" / "results.md")
    part = read(DOCS / "index.md").partition("| measured | value |\n|---|---|---|\n")[2].partition("\n\n")[0]
    shown = [row.split(" | ", 1)[1] for row in part.splitlines()]

    assert len(shown) > 4
    assert [figure for figure in shown if f"\n| {figure}" not in results] == []


def test_the_variables_of_this_process_are_not_in_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page must not depend on the process that writes it."""
    for name in ("PFO_CONFIG", "PFO_DATA_DIR"):
        monkeypatch.setenv(name, os.devnull)

    assert configuration.render() == read(DOCS / "configuration.md")
