"""The receiver of webhooks in a plan, over real HTTP, and the bank's posts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pfo_pipeline.powens.webhooks import path_of
from pfo_pipeline.simulator.sync_engine import has_lapsed
from pfo_pipeline_tests.simulation.events import Posts
from pfo_pipeline_tests.simulation.world import TENANT, WEBHOOK_SECRET, World
from pfo_pipeline_tests.webhooks.receiving import Receiving

_OLDER_THAN_ACCEPTED_SECONDS = 4 * 86_400


@dataclass(frozen=True)
class Posted:
    """An episode: the expected and the actual number of events in the inbox."""

    what: str
    expected: int
    kept: int


class Posting:
    """A context manager. The receiver starts with the first episode."""

    def __init__(self, world: World, private: Path) -> None:
        self.said: list[str] = []
        self.posted: list[Posted] = []
        self._world = world
        self._private = private
        self._receiver: Receiving | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._receiver is not None:
            self._receiver.__exit__(kind, error, trace)

    def looks(self, event: Posts) -> Iterator[None]:
        """Let the bank sync and post; yields when the sensor should tick."""
        world, bank = self._world, self._world.bank
        receiver = self._listening()
        secret = bank.add_webhooks(world.domain, {event.event: receiver.url + path_of(TENANT, event.event)})
        (world.folder / WEBHOOK_SECRET).write_text(secret or "", encoding="utf-8")
        connection = world.connections[event.connection]
        expected = _events(world, event, connection)
        if event.fault not in ("none", "reorder"):
            bank.post_fault(event.fault, times=expected, domain=world.domain.name, **_age(event.fault))
        if event.fault == "reorder":
            bank.post_fault("reorder", domain=world.domain.name)
        for _ in range(event.syncs):
            bank.sync(world.domain.name, connection)
        receiver.now = bank.now()
        bank.posts()
        yield
        if event.fault == "stale":  # After the refusal it is sent again with a new signature.
            bank.posts()
            yield
        kept = sum(line.endswith(": kept") for line in receiver.lines)
        self.posted.append(Posted(event.what, 0 if event.fault == "lose" else expected * event.syncs, kept))
        self.said += receiver.lines
        receiver.lines.clear()
        bank.forget_webhooks(world.domain)

    def _listening(self) -> Receiving:
        if self._receiver is None:
            self._receiver = Receiving(self._world.config, self._private, self._world.bank.now()).__enter__()
        return self._receiver


def _events(world: World, event: Posts, connection: int) -> int:
    """Number of events of this kind in one sync."""
    found = world.records.connections[connection]
    if event.event == "CONNECTION_SYNCED":
        return 1
    if found.state is not None or has_lapsed(found, world.bank.now()):
        return 0
    return sum(account.visible for account in world.records.accounts_of(found.id_user, connection))


def _age(fault: str) -> dict[str, int]:
    return {"age_seconds": _OLDER_THAN_ACCEPTED_SECONDS} if fault == "stale" else {}
