"""`pfo` as a program of its own, on pipes or on terminals, with the environment that a person or a script gives it."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PFO = (sys.executable, "-m", "pfo_pipeline.cli")
_OURS = ("PFO_", "DAGSTER_", "NO_COLOR", "FORCE_COLOR", "_PFO")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of a person with a wide terminal, and nothing set that is about `pfo`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | {"TERM": "xterm-256color", "COLUMNS": "200"} | dict(changes or {})


@dataclass(frozen=True)
class Ended:
    status: int
    stdout: str
    stderr: str


def run_on_pipes(words: list[str], folder: Path, changes: Mapping[str, str] | None = None) -> Ended:
    done = subprocess.run(
        [*PFO, *words],
        cwd=folder,
        env=environment(changes),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_on_terminals(
    words: list[str], folder: Path, changes: Mapping[str, str] | None = None, *, stdout_too: bool = True
) -> Ended:
    """With standard error on a terminal, and standard output on another one unless that is a pipe."""
    with _Terminal() as shown, _Terminal() as output:
        with subprocess.Popen(
            [*PFO, *words],
            cwd=folder,
            env=environment(changes),
            stdin=subprocess.DEVNULL,
            stdout=shown.their_end if stdout_too else subprocess.PIPE,
            stderr=output.their_end,
        ) as program:
            piped = program.communicate(timeout=120)[0] or b""
        stdout, stderr = shown.text(), output.text()
    return Ended(program.returncode, stdout if stdout_too else piped.decode(), stderr)


class _Terminal:
    """A terminal of its own, read all the while: a full one would hold the program up."""

    def __enter__(self) -> "_Terminal":
        self._our_end, self.their_end = pty.openpty()
        self._read = b""
        self._reader = threading.Thread(target=self._collect)
        self._reader.start()
        return self

    def _collect(self) -> None:
        try:
            while more := os.read(self._our_end, 65_536):
                self._read += more
        except OSError:
            pass  # The last one who had the other end is gone.

    def text(self) -> str:
        """Everything that was written, once who writes has ended."""
        if self.their_end >= 0:
            os.close(self.their_end)
            self.their_end = -1
        self._reader.join(timeout=30)
        return self._read.decode()

    def __exit__(self, *_: object) -> None:
        self.text()
        os.close(self._our_end)
