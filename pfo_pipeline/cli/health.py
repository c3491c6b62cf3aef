"""`pfo health`: system health for monitoring plugins, one line for each finding and an exit status."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

import click

from pfo_pipeline.cli.context import Place, find_place
from pfo_pipeline.cli.options import examples
from pfo_pipeline.cli.output import ago, duration
from pfo_pipeline.config import Config
from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import LoadsAhead
from pfo_pipeline.ledger.recovery import last_backup
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.freshness import CLOCK_DRIFT
from pfo_pipeline.redaction import scrub

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState

    from pfo_pipeline.defs.run_health import DaemonPulse, TickPulse


Level = Literal["ok", "warn", "critical"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "critical")
"""In the order of their exit status, 0 to 2, which is what monitoring plugins use."""

BACKUP_AGE = timedelta(days=2)
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class HealthFinding:
    level: Level
    about: str
    text: str


def check_health(now: datetime, stale_after: timedelta | None = None) -> list[HealthFinding]:
    """All findings with their levels; nothing is changed.

    Args:
        stale_after: Age of a tenant's last read, and of the publication, from which a finding is a warning; twice that is
            critical. None: half of `freshness.read_hours`.
    """
    try:
        place = find_place()
    except PfoError as mistake:
        return [HealthFinding("critical", "configuration", scrub(str(mistake)))]
    limits = place.config.freshness if place.config else Freshness()
    stale_after = stale_after or timedelta(hours=limits.read_hours) / 2
    looks: dict[str, Callable[[], Iterator[HealthFinding]]] = {
        "configuration": lambda: _configuration(place),
        "ledger": lambda: _ledger(place, now, stale_after),
        "disk": lambda: _disk(place),
        "backup": lambda: _backup(place, now),
        "dagster": lambda: _dagster(place, now),
    }
    return [finding for about, look in looks.items() for finding in _named(about, look)]


def _named(about: str, look: Callable[[], Iterator[HealthFinding]]) -> Iterator[HealthFinding]:
    """A look that fails is a finding; the others go on."""
    try:
        yield from look()
    except (PfoError, OSError) as problem:
        yield HealthFinding("critical", about, scrub(str(problem)))


def print_health(now: datetime, stale_after: timedelta | None = None, *, as_json: bool) -> int:
    """Print the findings, the worst first. Returns: the exit status."""
    found = sorted(check_health(now, stale_after), key=lambda finding: -LEVELS.index(finding.level))
    worst = found[0].level
    if as_json:
        click.echo(json.dumps({"status": worst, "findings": [asdict(finding) for finding in found]}))
    else:
        for finding in found:
            click.echo(f"{finding.level.upper():<8} {finding.about}: {finding.text}")
    return LEVELS.index(worst)


def _configuration(place: Place) -> Iterator[HealthFinding]:
    if place.config is None:
        yield HealthFinding("ok", "configuration", "none; this is the demonstration")
        return
    yield HealthFinding("ok", "configuration", f"{len(place.config.tenants)} tenants of office {place.config.office}")


def _ledger(place: Place, now: datetime, stale_after: timedelta) -> Iterator[HealthFinding]:
    last_read = place.reader.last_read()
    published_at = datetime.fromtimestamp(place.files.published.stat().st_mtime, UTC)
    age = now - published_at
    if age < -CLOCK_DRIFT:
        yield HealthFinding("warn", "ledger", f"opens, published {ago(age)}. The next run publishes again: pfo run")
    else:
        yield HealthFinding(_level(age, stale_after), "ledger", f"opens, published {duration(age)} ago")
    ahead = {found.tenant_id: found for found in place.reader.loads_after(now + CLOCK_DRIFT)}
    yield from (_dated_ahead(found, now) for found in ahead.values())
    for tenant_id in _expected(place.config) if place.config else last_read:
        if tenant_id in ahead:
            continue
        if tenant_id not in last_read:
            yield HealthFinding("warn", f"tenant {tenant_id}", "nothing of it was ever read. Look at: pfo status")
            continue
        age = now - last_read[tenant_id]
        yield HealthFinding(_level(age, stale_after), f"tenant {tenant_id}", f"last read {duration(age)} ago")


def _dated_ahead(found: LoadsAhead, now: datetime) -> HealthFinding:
    """Loads of a run under a wrong clock, and those since, which are dated a microsecond apart just after it."""
    until = f"{found.newest_at:%Y-%m-%d %H:%M} UTC"
    return HealthFinding(
        "critical",
        f"tenant {found.tenant_id}",
        f"loads dated ahead of this clock: {found.loads}, the newest {ago(now - found.newest_at)} ({until}). "
        "If this clock is wrong, set it. If it is right, a run was made under a wrong one, and loads since are dated just "
        f"after it: until {until} nobody can tell when the tenant was last read, and known_at sees the state before that "
        "run. Figures and the banks' own dates are right, nothing is lost, and later loads are dated rightly again. Wait "
        "until then, or put a backup from before it back: pfo restore --from FOLDER --replace-newer, then pfo run",
    )


def _expected(config: Config) -> list[str]:
    return [tenant.id for tenant in config.tenants if tenant.integration == "connected"]


def _level(age: timedelta, stale_after: timedelta) -> Level:
    return "ok" if age <= stale_after else "warn" if age <= 2 * stale_after else "critical"


def _disk(place: Place) -> Iterator[HealthFinding]:
    """A publication writes a copy beside the old one, and a reader may hold the old one open: three ledgers at once."""
    size = place.files.primary.stat().st_size if place.files.primary.exists() else 0
    if not place.data_dir.exists():
        return  # The first run makes it.
    free = shutil.disk_usage(place.data_dir).free
    needed = 2 * size + 100 * _MEGABYTE
    level: Level = "critical" if free < needed else "warn" if free < 5 * needed else "ok"
    yield HealthFinding(level, "disk", f"{free // _MEGABYTE} MB free; a publication needs {needed // _MEGABYTE} MB")


def _backup(place: Place, now: datetime) -> Iterator[HealthFinding]:
    last = last_backup(place.files)
    if last is None:
        yield HealthFinding("warn", "backup", "none was ever made. Make one: pfo backup --to FOLDER")
        return
    at = last.at
    if at - now > CLOCK_DRIFT:
        lacking = "so nobody can tell how old it is. Make one: pfo backup --to FOLDER"
        yield HealthFinding("warn", "backup", f"dated {ago(now - at)}, {lacking}")
        return
    yield HealthFinding("ok" if now - at <= BACKUP_AGE else "warn", "backup", f"made {duration(now - at)} ago")


def _dagster(place: Place, now: datetime) -> Iterator[HealthFinding]:
    if not (place.dagster_home / "dagster.yaml").exists():
        lacking = f"{place.dagster_home} holds no dagster.yaml: no server has run there. Make it: pfo migrate"
        yield HealthFinding("critical", "dagster", lacking)
        return
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    yield from dagster_findings(place, now)


_START = "Start it (systemctl start pfo-daemon, or pfo dev); until then runs wait in the queue, and no schedule runs."


def dagster_findings(place: Place, now: datetime) -> Iterator[HealthFinding]:
    """The daemon, the last tick of each sensor and schedule, whether the code loads, and events that wait for a run.

    Read from Dagster's storage. The web server is not asked: it shows the same storage.

    Raises: HistoryUnusable: Dagster's storage does not open.
    """
    from pfo_pipeline.cli.dagster_history import opened_history  # Importing Dagster costs a second.
    from pfo_pipeline.definitions import build_defs
    from pfo_pipeline.defs.run_health import daemon_pulse, instigator_states, tick_pulses

    # The storage first: loading the code reads it too.
    with opened_history(place.history_lock) as instance:
        yield _daemon(daemon_pulse(instance, now), now)
        try:
            repository = build_defs().get_repository_def()
            repository.load_all_definitions()
        except Exception as error:  # Anything may be wrong with code that does not load.
            name = type(error).__name__
            yield HealthFinding(
                "critical", "code", f"the code location does not load ({name}). Install the lock again."
            )
            return
        yield HealthFinding("ok", "code", "the code location loads")
        for pulse in tick_pulses(instance, repository, now):
            yield _instigator(pulse, now)
        state = instigator_states(instance, repository).get("webhooks")
    yield _webhooks(place, state, now)


def _daemon(pulse: "DaemonPulse", now: datetime) -> HealthFinding:
    parts = ", ".join(pulse.parts)
    if pulse.last is None:
        return HealthFinding("critical", "daemon", f"has never run. {_START}")
    age = duration(now - pulse.last)
    if pulse.state == "silent":
        return HealthFinding("critical", "daemon", f"no sign of life for {age} ({parts}). {_START}")
    if pulse.state == "failing":
        return HealthFinding("warn", "daemon", f"{parts} had errors; see its log.")
    return HealthFinding("ok", "daemon", f"last sign of life {age} ago")


def _instigator(pulse: "TickPulse", now: datetime) -> HealthFinding:
    about = f"automation {pulse.name}"
    age = duration(now - (pulse.last or now))
    match pulse.state:
        case "never ticked":
            return HealthFinding("warn", about, "has never ticked")
        case "switched off":
            return HealthFinding(
                "warn", about, "was switched off. Switch it on again in the Dagster UI, under Automation."
            )
        case "no tick yet":
            return HealthFinding("ok", about, "is switched on; no tick yet")
        case "silent":
            return HealthFinding("warn", about, f"last ticked {age} ago, and should every {duration(pulse.interval)}")
        case "failing":
            return HealthFinding("warn", about, "its last tick failed; the Dagster UI shows why, under Automation.")
        case "well":
            return HealthFinding("ok", about, f"ticked {age} ago")


def _webhooks(place: Place, state: "InstigatorState | None", now: datetime) -> HealthFinding:
    from pfo_pipeline.defs.run_health import SILENCE
    from pfo_pipeline.webhooks.inbox import Inbox, inbox_path

    cursor = getattr(state.instigator_data, "cursor", None) if state else None
    waiting = Inbox(inbox_path(place.files.private), lambda: now).after(int(cursor or 0), 1)
    if not waiting:
        return HealthFinding("ok", "webhooks", "none waits for a run")
    age = now - datetime.fromtimestamp(waiting[0].seq / 1e6, UTC)
    return HealthFinding(
        "warn" if age > SILENCE else "ok", "webhooks", f"the oldest has waited {duration(age)} for its run"
    )


@click.command(
    short_help="Check system health (exit status for monitoring plugins).",
    epilog=examples("pfo health", "pfo health --json --hours 24"),
)
@click.option(
    "--hours",
    type=click.IntRange(min=1),
    help="Warn of a tenant not read for so long, and of a ledger not published; twice that is critical. Default: half of "
    "freshness.read_hours.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
def health(hours: int | None, as_json: bool) -> None:
    """Check system health, for monitoring: exit status 0 ok, 1 warning, 2 critical; one line for each finding."""
    sys.exit(print_health(utc_now(), timedelta(hours=hours) if hours else None, as_json=as_json))
