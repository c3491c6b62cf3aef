"""A real terminal for tests: a program on a pseudo-terminal, what it shows, and keys typed to it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_DEADLINE_SECONDS = 60  # Until a program that hangs is given up: no test waits for it otherwise.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>]|\r")

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"


@dataclass
class Terminal:
    """`raw`: all that the program has written, escape sequences too."""

    program: subprocess.Popen[bytes]
    _handle: int
    raw: str = ""
    _seen: int = 0

    def type(self, keys: str) -> None:
        os.write(self._handle, keys.encode())

    def shows(self, *expected: str) -> str:
        """Wait until each text has come, one after the other, since what was waited for before. Returns all up to the last."""
        start = self._seen
        for text in expected:
            while (found := self.text.find(text, self._seen)) < 0:
                assert self._read(), f"ended; {text!r} is not in: {self.text[start:]}"
            self._seen = found + len(text)
        return self.text[start : self._seen]

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw)

    def reads_keys(self, *, yes: bool = True) -> None:
        """Wait until the line editor has taken the terminal, or has given it back: then Ctrl-C is a signal, no key."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while bool(termios.tcgetattr(self._handle)[3] & termios.ICANON) is yes:
            assert time.monotonic() < deadline, self.text
            self._read(patience_seconds=0.01)

    def works(self, seconds: float) -> None:
        """Wait until the program has had so much more of the processor: by then it is amid what it was told to do."""
        enough = self._processor_seconds() + seconds
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self._processor_seconds() < enough:
            assert time.monotonic() < deadline, self.text
            self._read(patience_seconds=0.01)

    def _processor_seconds(self) -> float:
        """As Linux counts them: user and system time are the 14th and the 15th value, the name before them may hold blanks."""
        values = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, values[11:13])) / os.sysconf("SC_CLK_TCK")

    def ends(self) -> int:
        """The exit status of the program, which ends by itself."""
        while self._read():
            pass
        return self.program.wait(_DEADLINE_SECONDS)

    def _read(self, patience_seconds: float = _DEADLINE_SECONDS) -> bool:
        """Whether there may be more to come."""
        ready, _, _ = select.select([self._handle], [], [], patience_seconds)
        assert ready or patience_seconds < _DEADLINE_SECONDS, f"nothing more comes after: {self.text}"
        if not ready:
            return True
        try:
            read = os.read(self._handle, 65536)
        except OSError:  # Linux says so when the other end is closed.
            return False
        self.raw += read.decode(errors="replace")
        if b"\x1b[c" in read:  # DuckDB's shell asks what kind of terminal this is, and waits 5 s for an answer.
            self.type("\x1b[?62c")
        return bool(read)


@contextmanager
def on_a_terminal(
    *words: str, environment: Mapping[str, str] | None = None, columns: int = 120, into: int | None = None
) -> Iterator[Terminal]:
    """`pfo` with these words, on a terminal of its own; `into`: where its standard output goes instead."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    output = {"TERM": "xterm-256color", **(environment or {})}
    program = subprocess.Popen(
        [sys.executable, "-c", _LEAD, *words],
        stdin=theirs,
        stdout=theirs if into is None else into,
        stderr=theirs,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")} | output,
    )
    os.close(theirs)
    try:
        yield Terminal(program, ours)
    finally:
        program.kill()
        program.wait()
        os.close(ours)


# The terminal's signals reach who leads a session on it.
_LEAD = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("pfo_pipeline.cli", run_name="__main__", alter_sys=True)
"""
