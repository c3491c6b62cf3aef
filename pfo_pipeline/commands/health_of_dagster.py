"""Is Dagster at work? Its daemon, the last tick of each sensor and schedule, whether the code loads, waiting webhooks.

Asked of Dagster's own interface, which needs Dagster: about two seconds. The web server is not asked: what it shows comes from
the same storage.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pfo_pipeline.commands.figures import duration
from pfo_pipeline.commands.health import Finding
from pfo_pipeline.commands.history import opened_history
from pfo_pipeline.commands.place import Place
from pfo_pipeline.definitions import build_defs
from pfo_pipeline.defs.run_health import SILENCE, DaemonPulse, TickPulse, daemon_pulse, instigator_states, tick_pulses
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

_START = "Start it (systemctl start pfo-daemon, or pfo dev); until then runs wait in the queue, and no schedule runs."


def dagster_findings(place: Place, now: datetime) -> Iterator[Finding]:
    """Raises: HistoryUnusable: Dagster's storage does not open."""
    # The storage first: loading the code reads it too.
    with opened_history(place.history_lock) as instance:
        yield _daemon(daemon_pulse(instance, now), now)
        try:
            repository = build_defs().get_repository_def()
            repository.load_all_definitions()
        except Exception as error:  # Anything may be wrong with code that does not load.
            name = type(error).__name__
            yield Finding("critical", "code", f"the code location does not load ({name}). Install the lock anew.")
            return
        yield Finding("ok", "code", "the code location loads")
        for pulse in tick_pulses(instance, repository, now):
            yield _instigator(pulse, now)
        state = instigator_states(instance, repository).get("webhooks")
    yield _webhooks(place, state, now)


def _daemon(pulse: DaemonPulse, now: datetime) -> Finding:
    parts = ", ".join(pulse.parts)
    if pulse.last is None:
        return Finding("critical", "daemon", f"has never run. {_START}")
    age = duration(now - pulse.last)
    if pulse.state == "silent":
        return Finding("critical", "daemon", f"no sign of life for {age} ({parts}). {_START}")
    if pulse.state == "failing":
        return Finding("warn", "daemon", f"{parts} had errors; its log tells which.")
    return Finding("ok", "daemon", f"last sign of life {age} ago")


def _instigator(pulse: TickPulse, now: datetime) -> Finding:
    about = f"automation {pulse.name}"
    age = duration(now - (pulse.last or now))
    match pulse.state:
        case "never ticked":
            return Finding("warn", about, "has never ticked")
        case "switched off":
            return Finding("warn", about, "was switched off. Switch it on again in the Dagster UI, under Automation.")
        case "no tick yet":
            return Finding("ok", about, "is switched on; no tick yet")
        case "silent":
            return Finding("warn", about, f"last ticked {age} ago, and should every {duration(pulse.interval)}")
        case "failing":
            return Finding("warn", about, "its last tick failed; the Dagster UI shows why, under Automation.")
        case "well":
            return Finding("ok", about, f"ticked {age} ago")


def _webhooks(place: Place, state: "InstigatorState | None", now: datetime) -> Finding:
    cursor = getattr(state.instigator_data, "cursor", None) if state else None
    waiting = Inbox(inbox_path(place.files.private), lambda: now).after(int(cursor or 0), 1)
    if not waiting:
        return Finding("ok", "webhooks", "none waits for a run")
    age = now - datetime.fromtimestamp(waiting[0].seq / 1e6, UTC)
    return Finding("warn" if age > SILENCE else "ok", "webhooks", f"the oldest has waited {duration(age)} for its run")
