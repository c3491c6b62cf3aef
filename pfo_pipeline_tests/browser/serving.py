"""`pfo dev` as a separate program, and its web server."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parents[2]
TENANTS = ("martin", "lindqvist", "moreau")
ASSETS = ("accounts/synced", "accounts/fetched", "balances/refreshed", "balances/fetched")

_TRIES = 480
_pace = threading.Event()
_SECONDS_BETWEEN_TRIES = 0.5

_LOADED = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }"
_RUNS = "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"
_ASSETS = "{ assetNodes { assetKey { path } partitionStats { numMaterialized numPartitions } } }"
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class Run:
    id: str
    job: str
    status: str
    tags: dict[str, str]

    @property
    def tenant(self) -> str:
        return self.tags["dagster/partition"]

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED


class Serving:
    """`pfo dev` in its own folder; a context manager."""

    def __init__(self, folder: Path, loaded: Mapping[str, str] = MappingProxyType({})) -> None:
        """
        Args:
            told: Environment variables that name a configured office; by default the demonstration's.
        """
        self.temporary = folder / "tmp"  # folder of the simulated bank's configuration and tokens
        self.temporary.mkdir()
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "pfo-dev.log"
        # Not the project's own folder: with a developer's pfo.toml there the tests would call real banks.
        shutil.copyfile(PROJECT / "workspace.yaml", folder / "workspace.yaml")
        ours = {"PFO_DATA_DIR": str(folder / "data"), "DAGSTER_HOME": str(folder / "dagster"), **loaded}
        ours |= {"TMPDIR": str(self.temporary)}
        self.data_dir = Path(ours["PFO_DATA_DIR"])
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PFO_", "DAGSTER_"))}
        self.folder, self.environment = folder, {**theirs, **ours}
        with self._log.open("wb") as log:
            self._program = subprocess.Popen(
                [str(Path(sys.executable).parent / "pfo"), "dev", "--port", str(self.port)],
                cwd=folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def ledger(self) -> Path:
        return self.data_dir / "ledger.duckdb"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def end(self) -> int:
        """Send SIGTERM, as a service manager does. Returns: the exit status."""
        if self._program.poll() is None:
            self._program.send_signal(signal.SIGTERM)
        try:
            return self._program.wait(60)
        except subprocess.TimeoutExpired:
            self._program.kill()
            raise

    def kill(self) -> None:
        """Send SIGKILL, as a machine without free memory does."""
        self._program.kill()
        self._program.wait()

    def wait_until_gone(self, pids: set[int]) -> None:
        for _ in range(_TRIES):
            if not alive(pids):
                return
            _pace.wait(_SECONDS_BETWEEN_TRIES)
        raise AssertionError(
            f"Still there after {_TRIES * _SECONDS_BETWEEN_TRIES:g} s: {alive(pids)}.\n{self._last_words()}"
        )

    def processes(self) -> set[int]:
        """The process, and all living processes that it and its children have started."""
        ours = {self._program.pid}
        parents = _parents()
        while grown := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= grown
        return ours & parents.keys()

    def ask(self, query: str) -> Any:
        """A GraphQL query's data. Raises: OSError: the web server does not answer."""
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def runs(self) -> list[Run]:
        """Newest first."""
        return [
            Run(run["runId"], run["jobName"], run["status"], {tag["key"]: tag["value"] for tag in run["tags"]})
            for run in self.ask(_RUNS)["runsOrError"]["results"]
        ]

    def first_runs(self) -> dict[tuple[str, str], Run]:
        """By tenant and job."""
        return {(run.tenant, run.job): run for run in self.runs()}

    def wait_until(self, what: str, is_so: Callable[[], bool]) -> None:
        for _ in range(_TRIES):
            if self._program.poll() is not None:
                raise AssertionError(f"pfo dev ended by itself with {self._program.returncode}.\n{self._last_words()}")
            try:
                if is_so():
                    return
            except OSError:
                pass
            _pace.wait(_SECONDS_BETWEEN_TRIES)
        raise AssertionError(f"Not so after {_TRIES * _SECONDS_BETWEEN_TRIES:g} s: {what}.\n{self._last_words()}")

    def wait_until_loaded(self) -> None:
        self.wait_until("the definitions are loaded", lambda: bool(self._loaded()))

    def wait_until_settled(self) -> None:
        """Wait until every asset of every tenant was materialized automatically, and no run is active."""
        self.wait_until("all assets of all tenants are there", lambda: self._is_complete() and self.is_quiet())

    def is_quiet(self) -> bool:
        return all(run.has_ended for run in self.runs())

    def _loaded(self) -> list[Any]:
        nodes: list[Any] = self.ask(_LOADED)["repositoriesOrError"].get("nodes", [])
        return nodes

    def _is_complete(self) -> bool:
        failed = [run for run in self.runs() if run.status == "FAILURE"]
        if failed:
            raise AssertionError(f"{failed[0].job} of {failed[0].tenant} failed.\n{self._last_words()}")
        stats = [node["partitionStats"] for node in self.ask(_ASSETS)["assetNodes"]]
        return all(stat["numMaterialized"] == stat["numPartitions"] == len(TENANTS) for stat in stats)

    def _last_words(self) -> str:
        return f"The end of {self._log}:\n" + "\n".join(self.log.splitlines()[-25:])


@contextmanager
def reading(serving: Serving) -> Iterator[str]:
    """The address of the read-only web server (deploy/systemd/pfo-web-readonly.service), beside the other one."""
    port = _free_port()
    program = subprocess.Popen(
        [
            *(str(Path(sys.executable).parent / "dagster-webserver"), "--read-only"),
            *("--host", "127.0.0.1", "--port", str(port), "--workspace", "workspace.yaml"),
        ],
        cwd=serving.folder,
        env=serving.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        serving.wait_until("the other web server answers", lambda: answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.wait()


def alive(pids: set[int]) -> set[int]:
    return pids & _parents().keys()


def answers(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(5)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _parents() -> dict[int, int]:
    """Parent by process id, of all processes except zombies."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], check=True, capture_output=True, text=True)
    rows = [line.split() for line in listing.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def _free_port() -> int:
    """A port for `pfo dev`, which opens it seconds later: not one that the system may assign meanwhile."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("of a hundred ports none is free")
