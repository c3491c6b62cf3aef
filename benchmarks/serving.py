"""Starts the bank's server beside the benchmarks, and reads its cost."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.measuring import PROJECT
from benchmarks.sizes import BankSize


@dataclass(frozen=True)
class ServerUsage:
    requests: int
    cpu_seconds: float

    def __sub__(self, before: "ServerUsage") -> "ServerUsage":
        return ServerUsage(self.requests - before.requests, self.cpu_seconds - before.cpu_seconds)


@dataclass(frozen=True)
class BankServer:
    """A running server. `root` is the value for a tenant's `base_url`."""

    origin: str

    @property
    def root(self) -> str:
        return f"{self.origin}/2.0"

    def usage(self) -> ServerUsage:
        with urllib.request.urlopen(f"{self.origin}/usage", timeout=30) as answer:  # noqa: S310 (our own loopback URL)
            told = json.load(answer)
        return ServerUsage(int(told["requests"]), float(told["cpu_seconds"]))


@contextmanager
def bank_server(size: BankSize) -> Iterator[BankServer]:
    """Run a server with this number of records until the block ends."""
    command = [sys.executable, "-m", "benchmarks.bank_server", str(size.connections), str(size.accounts)]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield BankServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        process.stdin.close()
