"""The words of an alert: one message for each owner and tenant, with everything that is to be told at this moment."""

from collections.abc import Iterable
from dataclasses import dataclass

from pfo_pipeline.alerts.book import Event, Notice
from pfo_pipeline.alerts.conditions import Severity

_SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "notice")
_HEADINGS: dict[Event, str] = {"opened": "NEW", "repeated": "STILL", "resolved": "OVER"}


@dataclass(frozen=True)
class Message:
    """`severity` is that of its worst condition; None where all it tells is over."""

    title: str
    body: str
    severity: Severity | None
    notices: tuple[Notice, ...]


def messages(notices: Iterable[Notice]) -> list[Message]:
    """In the order of tenants; what concerns the whole office comes first. No message holds two tenants."""
    groups: dict[tuple[str, str], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.condition.tenant_id, notice.condition.owner), []).append(notice)
    return [_message(tenant_id, owner, groups[tenant_id, owner]) for tenant_id, owner in sorted(groups)]


def _message(tenant_id: str, owner: str, notices: list[Notice]) -> Message:
    about = f"tenant {tenant_id}" if tenant_id else "the whole office"
    counts = ((heading, sum(n.event == event for n in notices)) for event, heading in _HEADINGS.items())
    summary = ", ".join(f"{count} {heading.lower()}" for heading, count in counts if count)
    present = [n.condition.severity for n in notices if n.event != "resolved"]
    return Message(
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
