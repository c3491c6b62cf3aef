"""Where alerts go, and the way there: Apprise, which knows e-mail, Slack, Teams, webhooks and a hundred more by their URL.

A URL holds a password: it is read when it is used, and is in no log, error or result. What a library or a server says of a
failure may name a person or repeat the URL, so that the reason told is always one of our own.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pfo_pipeline.alerts.messages import Message
from pfo_pipeline.config import Config

TIMEOUT_SECONDS = 15.0
"""For each step of the way: to connect, to be answered."""
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
        """What it is remembered and shown by."""
        return f"{self.tenant_id}/{self.reference}" if self.tenant_id else self.reference


class NotTaken(Exception):
    """A target did not take a message; the text says why, in our own words."""


def targets_of(config: Config) -> list[Target]:
    office = [Target("alerts.targets", reference) for reference in config.alerts.targets]
    return office + [
        Target(f"tenants.{tenant.id}.alert_targets", reference, tenant.id)
        for tenant in config.tenants
        for reference in tenant.alert_targets
    ]


Send = Callable[[str, Message], None]
"""Sends a message to a URL, or raises NotTaken."""


def send(
    url: str, message: Message, *, timeout_seconds: float = TIMEOUT_SECONDS, whole_seconds: float = WHOLE_SECONDS
) -> None:
    """
    Args:
        timeout_seconds: For each step of the way.
        whole_seconds: For all of it: a server that answers one byte at a time is left after that.
    Raises: NotTaken.
    """
    outcome: list[str | None] = []

    def work() -> None:
        outcome.append(_sent(url, message, timeout_seconds))

    # A thread that nothing waits for: Apprise's own time limit leaves one that holds up the end of the program.
    worker = threading.Thread(target=work, name="alert", daemon=True)
    worker.start()
    worker.join(whole_seconds)
    reason = outcome[0] if outcome else f"it did not answer within {whole_seconds:g} s"
    if reason is not None:
        raise NotTaken(reason)


def _sent(url: str, message: Message, timeout_seconds: float) -> str | None:
    """Why it was not sent; None when it was."""
    _silence()
    try:
        return _tried(url, message, timeout_seconds)
    except Exception as error:  # A hundred plugins, each with errors of its own, that may repeat the URL.
        return f"an error in the way there ({type(error).__name__})"


def _tried(url: str, message: Message, timeout_seconds: float) -> str | None:
    import apprise  # Takes a quarter of a second, and is needed only where something is sent.

    asset = apprise.AppriseAsset(
        app_id="pfo", app_desc="pfo-pipeline", app_url="", async_mode=False, storage_mode="memory"
    )
    service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        return "its URL is none that Apprise understands"
    service.overflow_mode = apprise.OverflowMode.SPLIT  # Some services take only so much at once.
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
    status = next((found.group(1) for entry in result.logs() if (found := _STATUS.search(entry.message))), None)
    return f"it answered {status}" if status else "it could not be reached, or refused the message"


@cache
def _silence() -> None:
    """What these libraries log, at any level, reaches no handler of ours: it names addresses, people and paths."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.WARNING)  # Apprise's own, from which the status of an answer is read.
