"""Looking, then telling: each target gets what it has not been told, and what it did not take it gets another time.

The log is a target like the others, but a local one, so that whoever looks may tell it; the others are asked over the network
and are told by who may wait (a run, the command line). No failure here is anybody else's failure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from pfo_pipeline.alerts.log import ALERTS, append_to_log
from pfo_pipeline.alerts.book import Book, Repeats, due, is_resting, looked, told, unreached
from pfo_pipeline.alerts.conditions import Condition, Findings
from pfo_pipeline.alerts.messages import messages
from pfo_pipeline.alerts.store import alone_in_telling, change_book, read_book
from pfo_pipeline.alerts.targets import NotTaken, Send, Target, send, targets_of
from pfo_pipeline.config import Config, SecretError, data_dir
from pfo_pipeline.config.model import AlertSettings
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.files import LedgerFiles


@dataclass(frozen=True)
class Delivery:
    """How telling one target went. `reason` says why it took less than it was sent; empty when it took all."""

    target: str
    sent: int
    reason: str = ""


_REFUSALS = 3
"""After so many messages that a target did not take, it is left for now: each may have taken a minute."""


def repeats_of(settings: AlertSettings) -> Repeats:
    hours = settings.repeat_hours
    return {"critical": hours.critical, "warning": hours.warning, "notice": hours.notice}


def look(config: Config | None, findings: Iterable[Findings], now: datetime) -> Book:
    """Put down what was found, and tell the log.

    Args:
        config: None where it cannot be read: the log is then the only target.
    Returns: The book, in which `outstanding` finds what is left to tell.
    Raises: AlertsError.
    """
    folder = data_dir(config)
    private = LedgerFiles(folder).private
    names = [ALERTS, *(target.name for target in targets_of(config))] if config else None

    def with_findings(book: Book) -> Book:
        for each in findings:
            # Which targets there are, a broken configuration does not say: what they were told is kept.
            book = looked(book, each, now, [ALERTS, *book.targets] if names is None else names)
        return _log_told(book, folder, repeats_of(config.alerts if config else AlertSettings()), now)

    return change_book(private, with_findings)


def _log_told(book: Book, folder: Path, repeats: Repeats, now: datetime) -> Book:
    notices = due(book, ALERTS, repeats, now)
    if not notices:
        return book
    try:
        append_to_log(folder, notices, now)
    except OSError as error:
        return unreached(book, ALERTS, f"it cannot be written ({error.strerror})", now)
    return told(book, ALERTS, notices, now)


def outstanding(config: Config, book: Book, now: datetime) -> list[Target]:
    """Targets that are to be told something, without those that did not answer a moment ago."""
    repeats = repeats_of(config.alerts)
    return [
        target
        for target in targets_of(config)
        if not is_resting(book, target.name, now) and due(book, target.name, repeats, now, target.tenant_id)
    ]


def tell(config: Config, now: datetime, *, send: Send = send) -> list[Delivery]:
    """Tell each target what is due, one message for each owner and tenant. Where another process tells, nothing is done.

    Raises: AlertsError: what was told could not be remembered.
    """
    private = LedgerFiles(data_dir(config)).private
    with alone_in_telling(private) as alone:
        if not alone:
            return []
        return [_tell(config, private, target, now, send) for target in outstanding(config, read_book(private), now)]


def _tell(config: Config, private: Path, target: Target, now: datetime, send: Send) -> Delivery:
    notices = due(read_book(private), target.name, repeats_of(config.alerts), now, target.tenant_id)
    sent, reasons = 0, list[str]()
    for message in messages(notices):
        if len(reasons) == _REFUSALS:
            break
        try:
            send(config.secret(target.reference, key=target.key), message)
        except (NotTaken, SecretError) as why:
            reasons.append(str(why))  # Its fault may be the message's own, which must not hold up the others.
            continue
        # After each: a crash, or the next message, must not have this one told twice.
        change_book(private, partial(told, target=target.name, notices=message.notices, now=now))
        sent += 1
    if reasons:
        change_book(private, partial(unreached, target=target.name, reason=reasons[0], now=now))
    return Delivery(target.name, sent, reasons[0] if reasons else "")


def unreached_targets(book: Book) -> list[str]:
    """One line for each target that does not take what it is sent."""
    return [
        f"Alert target {name} has not been reached since {outage.since:%Y-%m-%d %H:%M} UTC: {outage.reason}."
        for name, memory in sorted(book.targets.items())
        if (outage := memory.outage) is not None
    ]


def unreadable_configuration(mistake: PfoError) -> Findings:
    """Found while the configuration cannot be read, and so nothing else can be looked at."""
    condition = Condition(
        kind="configuration",
        tenant_id="",
        thing="file",
        owner="operator",
        severity="critical",
        code=type(mistake).__name__,
        text="The configuration cannot be used, so that no tenant is read",
        remedy="pfo config check names each mistake.",
    )
    return Findings((condition,), frozenset({"configuration"}))


READABLE_CONFIGURATION = Findings((), frozenset({"configuration"}))
