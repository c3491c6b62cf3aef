"""Notifies the alert targets, and writes `data/alerts.jsonl`, one line per alert, for a monitor to follow.

Each owner and tenant gets one message. The log is a local target; the others are reached by Apprise over the network. A
target that failed is tried again. A URL contains a password: it is read when it is used, and is in no log, error or result. A
library or a server may repeat the URL or name a person in its error, so a reported reason is always our own text.
"""

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from pfo_pipeline.alerts.conditions import Condition, Findings, Severity
from pfo_pipeline.alerts.state import (
    AlertState,
    Event,
    Notice,
    Repeats,
    change_alerts,
    due,
    is_resting,
    mark_notified,
    mark_unreached,
    read_alerts,
    record_findings,
    sending_alone,
)
from pfo_pipeline.config import Config, SecretError, data_dir
from pfo_pipeline.config.model import AlertSettings
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles

_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "notice")
_HEADINGS: dict[Event, str] = {"opened": "NEW", "repeated": "STILL", "resolved": "OVER"}


@dataclass(frozen=True)
class AlertMessage:
    """`severity` is that of its worst condition; None if all its conditions are over."""

    title: str
    body: str
    severity: Severity | None
    notices: tuple[Notice, ...]


def messages(notices: Iterable[Notice]) -> list[AlertMessage]:
    """Group notices into messages, in the order of tenants; those of the whole office come first. No message covers two
    tenants.
    """
    groups: dict[tuple[str, str], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.condition.tenant_id, notice.condition.owner), []).append(notice)
    return [_message(tenant_id, owner, groups[tenant_id, owner]) for tenant_id, owner in sorted(groups)]


def _message(tenant_id: str, owner: str, notices: list[Notice]) -> AlertMessage:
    about = f"tenant {tenant_id}" if tenant_id else "the whole office"
    counts = ((heading, sum(n.event == event for n in notices)) for event, heading in _HEADINGS.items())
    summary = ", ".join(f"{count} {heading.lower()}" for heading, count in counts if count)
    present = [n.condition.severity for n in notices if n.event != "resolved"]
    return AlertMessage(
        title=f"pfo: {about}, {owner} acts: {summary}",
        body="\n\n".join(_paragraph(notice) for notice in notices),
        severity=min(present, key=_SEVERITIES.index, default=None),
        notices=tuple(notices),
    )


def _paragraph(notice: Notice) -> str:
    condition = notice.condition
    since = f"since {notice.since:%Y-%m-%d %H:%M} UTC"
    headline = f"{_HEADINGS[notice.event]}: {condition.text} ({since})"
    if notice.event == "resolved":
        return headline
    return "\n".join(line for line in (headline, f"{condition.owner}: {condition.remedy}", condition.link) if line)


ALERTS = "alerts.jsonl"


def append_to_log(data_dir: Path, notices: Iterable[Notice], now: datetime) -> None:
    """Append the notices to the log. Raises: OSError."""
    lines = b"".join(json.dumps(_line(notice, now)).encode() + b"\n" for notice in notices)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
    # Whatever the umask, other accounts may read the log, and not write it.
    with open(data_dir / ALERTS, "a+b", opener=partial(os.open, mode=0o644)) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                lines = b"\n" + lines  # A crash left half a line: start a new one.
        file.write(lines)


def _line(notice: Notice, now: datetime) -> dict[str, str]:
    condition = notice.condition
    line = {
        "at": now.isoformat(timespec="seconds"),
        "event": notice.event,
        "severity": condition.severity,
        "tenant": condition.tenant_id,
        "kind": condition.kind,
        "thing": condition.thing,
        "code": condition.code,
        "who_acts": condition.owner,
        "since": notice.since.isoformat(timespec="seconds"),
        "reason": condition.text,
        "remedy": condition.remedy,
    }
    return line | ({"link": condition.link} if condition.link else {})


TIMEOUT_SECONDS = 15.0
"""For each phase: to connect, and to get an answer."""
WHOLE_SECONDS = 60.0
_TALKATIVE = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "markdown", "MARKDOWN")
_STATUS = re.compile(r"error=(\d{3})\b")


@dataclass(frozen=True)
class Target:
    """An address in the configuration. `tenant_id` None: it gets the alerts of every tenant, and the office's."""

    key: str
    reference: str
    tenant_id: str | None = None

    @property
    def name(self) -> str:
        """The name under which it is stored and shown."""
        return f"{self.tenant_id}/{self.reference}" if self.tenant_id else self.reference


class NotTaken(Exception):
    """A target did not accept a message; the text gives the reason in our own words."""


def targets_of(config: Config) -> list[Target]:
    office = [Target("alerts.targets", reference) for reference in config.alerts.targets]
    return office + [
        Target(f"tenants.{tenant.id}.alert_targets", reference, tenant.id)
        for tenant in config.tenants
        for reference in tenant.alert_targets
    ]


Send = Callable[[str, AlertMessage], None]
"""Sends a message to a URL, or raises NotTaken."""


def send(
    url: str, message: AlertMessage, *, timeout_seconds: float = TIMEOUT_SECONDS, whole_seconds: float = WHOLE_SECONDS
) -> None:
    """Send a message to a URL.

    Args:
        timeout_seconds: For each phase.
        whole_seconds: For all phases: a server that answers one byte at a time is abandoned after that.
    Raises: NotTaken.
    """
    outcome: list[str | None] = []

    def work() -> None:
        outcome.append(_sent(url, message, timeout_seconds))

    # A daemon thread: Apprise's own time limit leaves a thread that delays the end of the program.
    worker = threading.Thread(target=work, name="alert", daemon=True)
    worker.start()
    worker.join(whole_seconds)
    reason = outcome[0] if outcome else f"it did not answer within {whole_seconds:g} s"
    if reason is not None:
        raise NotTaken(reason)


def _sent(url: str, message: AlertMessage, timeout_seconds: float) -> str | None:
    """Send a message. Returns the reason if it failed; None if it was sent."""
    _silence()
    try:
        return _tried(url, message, timeout_seconds)
    except Exception as error:  # A hundred plugins, each with its own errors, which may contain the URL.
        return f"an error in the way there ({type(error).__name__})"


def _tried(url: str, message: AlertMessage, timeout_seconds: float) -> str | None:
    import apprise  # takes a quarter of a second, so only if needed

    asset = apprise.AppriseAsset(
        app_id="pfo", app_desc="pfo-pipeline", app_url="", async_mode=False, storage_mode="memory"
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        return "its URL is none that Apprise understands"
    service.overflow_mode = apprise.OverflowMode.SPLIT  # Some services limit the length of a message.
    service.socket_connect_timeout = service.socket_read_timeout = timeout_seconds
    kinds = {
        "critical": apprise.NotifyType.FAILURE,
        "warning": apprise.NotifyType.WARNING,
        "notice": apprise.NotifyType.INFO,
        None: apprise.NotifyType.SUCCESS,
    }
    way = apprise.Apprise(services=[service], asset=asset)
    result = way.notify(
        title=message.title,
        body=message.body,
        notify_type=kinds[message.severity],
        body_format=apprise.NotifyFormat.TEXT,
    )
    if result:
        return None
    status = next((found.group(1) for line in result.logs() if (found := _STATUS.search(line.message))), None)
    return f"it answered {status}" if status else "it could not be reached, or refused the message"


@cache
def _silence() -> None:
    """Keep all log records of these libraries from our handlers: they name addresses, people and paths."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.WARNING)  # Apprise's own logger; we read the status of an answer from it.


@dataclass(frozen=True)
class SentMessages:
    """The result for one target. `reason` says why it did not accept all messages; empty if it did."""

    target: str
    sent: int
    reason: str = ""


_REFUSALS = 3
"""After this many messages that a target did not accept, stop for now: each may have taken a minute."""


def repeats_of(settings: AlertSettings) -> Repeats:
    hours = settings.repeat_hours
    return {"critical": hours.critical, "warning": hours.warning, "notice": hours.notice}


def record(config: Config | None, findings: Iterable[Findings], now: datetime) -> AlertState:
    """Record the findings, and write the log.

    Args:
        config: None if it cannot be read: the log is then the only target.
    Returns: The book, in which `outstanding` finds the targets to notify.
    Raises: AlertsError.
    """
    folder = data_dir(config)
    private = LedgerFiles(folder).private
    names = [ALERTS, *(target.name for target in targets_of(config))] if config else None

    def with_findings(state: AlertState) -> AlertState:
        for each in findings:
            # A broken configuration does not say which targets exist, so their states are kept.
            state = record_findings(state, each, now, [ALERTS, *state.targets] if names is None else names)
        return _write_log(state, folder, repeats_of(config.alerts if config else AlertSettings()), now)

    return change_alerts(private, with_findings)


def _write_log(state: AlertState, folder: Path, repeats: Repeats, now: datetime) -> AlertState:
    notices = due(state, ALERTS, repeats, now)
    if not notices:
        return state
    try:
        append_to_log(folder, notices, now)
    except OSError as error:
        return mark_unreached(state, ALERTS, f"it cannot be written ({error.strerror})", now)
    return mark_notified(state, ALERTS, notices, now)


def outstanding(config: Config, state: AlertState, now: datetime) -> list[Target]:
    """Targets with notices to send, except those that did not answer recently."""
    repeats = repeats_of(config.alerts)
    return [
        target
        for target in targets_of(config)
        if not is_resting(state, target.name, now) and due(state, target.name, repeats, now, target.tenant_id)
    ]


def notify(config: Config, now: datetime, *, send: Send = send) -> list[SentMessages]:
    """Send each target its due notices, one message for each owner and tenant. If another process does so, do nothing.

    Raises: AlertsError: the state could not be stored.
    """
    private = LedgerFiles(data_dir(config)).private
    with sending_alone(private) as alone:
        if not alone:
            return []
        targets = outstanding(config, read_alerts(private), now)
        return [_notify_target(config, private, target, now, send) for target in targets]


def _notify_target(config: Config, private: Path, target: Target, now: datetime, send: Send) -> SentMessages:
    notices = due(read_alerts(private), target.name, repeats_of(config.alerts), now, target.tenant_id)
    sent, reasons = 0, list[str]()
    for message in messages(notices):
        if len(reasons) == _REFUSALS:
            break
        try:
            send(config.secret(target.reference, key=target.key), message)
        except (NotTaken, SecretError) as why:
            reasons.append(str(why))  # The message itself may be wrong; it must not delay the others.
            continue
        # Store after each message, so that a crash or the next message does not cause a repetition.
        change_alerts(private, partial(mark_notified, target=target.name, notices=message.notices, now=now))
        sent += 1
    if reasons:
        change_alerts(private, partial(mark_unreached, target=target.name, reason=reasons[0], now=now))
    return SentMessages(target.name, sent, reasons[0] if reasons else "")


def list_unreached(state: AlertState) -> list[str]:
    """One line for each target that does not accept messages."""
    return [
        f"Alert target {name} has not been reached since {outage.since:%Y-%m-%d %H:%M} UTC: {outage.reason}."
        for name, target_state in sorted(state.targets.items())
        if (outage := target_state.outage) is not None
    ]


def configuration_findings(mistake: PfoError) -> Findings:
    """The finding that the configuration cannot be read. Nothing else can be checked then."""
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
