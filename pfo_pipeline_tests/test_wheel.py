"""The wheel is the whole program: installed alone, outside of the repository, it runs the demonstration."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.workspace.load import location_origins_from_yaml_paths

PROJECT = Path(__file__).parents[1]
DEPENDENCIES = Path(sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and this one's packages without the repository."""

    python: Path

    @property
    def pfo(self) -> Path:
        return self.python.with_name("pfo")


def run(*words: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PFO_", "PYTHON", "DAGSTER_"))}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=PROJECT)
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Installed by pip, without dependencies: those are seen through a path file, which starts no editable install."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A folder in a path file is searched for modules, but path files in it are not read: ours, of the repository, is one.
    (own / "dependencies.pth").write_text(f"{DEPENDENCIES}\n", encoding="utf-8")
    return Installed(python)


def test_it_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {path for path in (PROJECT / "pfo_pipeline").rglob("*") if path.is_file() and path.suffix != ".pyc"}

    assert packed == {path.relative_to(PROJECT).as_posix() for path in files}
    assert {Path(name).suffix for name in packed} >= {".py", ".sql", ".yaml", ".jinja", ".css", ".js"}


def test_the_workspace_in_it_names_the_location_as_the_repositorys_does(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.extract("pfo_pipeline/cli/workspace.yaml", tmp_path)

    [mine], [repositorys] = (
        location_origins_from_yaml_paths([path]) for path in (packed, str(PROJECT / "workspace.yaml"))
    )

    assert isinstance(mine, ManagedGrpcPythonEnvCodeLocationOrigin)
    assert mine.loadable_target_origin.module_name == "pfo_pipeline.definitions"
    assert mine.location_name == repositorys.location_name  # What sensors remember belongs to it.


def test_installed_alone_it_runs_the_demonstration_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    output = run(
        installed.python,
        "-c",
        "import pfo_pipeline, sys; print(pfo_pipeline.__file__, *sys.path, sep='\\n')",
        cwd=tmp_path,
    ).splitlines()
    assert Path(output[0]).is_relative_to(installed.python.parents[1])
    found = [Path(path or tmp_path) for path in output[1:]]
    assert [path for path in found if path.is_relative_to(PROJECT) and path != DEPENDENCIES] == []

    shown = run(installed.pfo, "run", cwd=tmp_path)

    assert [words for words in ("Cash positions", "Totals", "Who must act", "moreau") if words not in shown] == []
    assert (tmp_path / "data" / "ledger.duckdb").exists()
    assert "loads" in run(installed.pfo, "verify", cwd=tmp_path)
    assert len(list((tmp_path / "data" / "reports").glob("*.html"))) == 3
