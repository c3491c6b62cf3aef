"""`pfo health`: checks whether everything works, for monitoring: one line per finding, and an exit status."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import click

from pfo_pipeline.commands.figures import ago, duration
from pfo_pipeline.commands.place import Place, find_place
from pfo_pipeline.config import Config
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.known import LoadsAhead
from pfo_pipeline.ledger.recovery import last_backup
from pfo_pipeline.operations.freshness import CLOCK_DRIFT
from pfo_pipeline.redaction import scrub

Level = Literal["ok", "warn", "critical"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "critical")
"""In the order of their exit status, 0 to 2, which is what monitoring plugins use."""

BACKUP_AGE = timedelta(days=2)
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Finding:
    level: Level
    about: str
    text: str


def health(now: datetime, stale_after: timedelta) -> list[Finding]:
    """Everything that was looked at, each with its level; nothing is changed.

    Args:
        stale_after: For how long a tenant may go unread, and the published ledger unchanged, before it is told; twice that is
            critical.
    """
    try:
        place = find_place()
    except PfoError as mistake:
        return [Finding("critical", "configuration", scrub(str(mistake)))]
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "configuration": lambda: _configuration(place),
        "ledger": lambda: _ledger(place, now, stale_after),
        "disk": lambda: _disk(place),
        "backup": lambda: _backup(place, now),
        "dagster": lambda: _dagster(place, now),
    }
    return [finding for about, look in looks.items() for finding in _named(about, look)]


def _named(about: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A look that fails is a finding; the others go on."""
    try:
        yield from look()
    except (PfoError, OSError) as problem:
        yield Finding("critical", about, scrub(str(problem)))


def health_and_show(now: datetime, stale_after: timedelta, *, as_json: bool) -> int:
    """Print the findings, the worst first. Returns: the exit status."""
    found = sorted(health(now, stale_after), key=lambda finding: -LEVELS.index(finding.level))
    worst = found[0].level
    if as_json:
        click.echo(json.dumps({"status": worst, "findings": [asdict(finding) for finding in found]}))
    else:
        for finding in found:
            click.echo(f"{finding.level.upper():<8} {finding.about}: {finding.text}")
    return LEVELS.index(worst)


def _configuration(place: Place) -> Iterator[Finding]:
    if place.config is None:
        yield Finding("ok", "configuration", "none; this is the demonstration")
        return
    yield Finding("ok", "configuration", f"{len(place.config.tenants)} tenants of office {place.config.office}")


def _ledger(place: Place, now: datetime, stale_after: timedelta) -> Iterator[Finding]:
    last_read = place.reader.last_read()
    published_at = datetime.fromtimestamp(place.files.published.stat().st_mtime, UTC)
    age = now - published_at
    if age < -CLOCK_DRIFT:
        yield Finding("warn", "ledger", f"opens, published {ago(age)}. The next run publishes anew: pfo run")
    else:
        yield Finding(_level(age, stale_after), "ledger", f"opens, published {duration(age)} ago")
    ahead = {found.tenant_id: found for found in place.reader.loads_after(now + CLOCK_DRIFT)}
    yield from (_dated_ahead(found, now) for found in ahead.values())
    for tenant_id in _expected(place.config) if place.config else last_read:
        if tenant_id in ahead:
            continue
        if tenant_id not in last_read:
            yield Finding("warn", f"tenant {tenant_id}", "nothing of it was ever read. Look at: pfo status")
            continue
        age = now - last_read[tenant_id]
        yield Finding(_level(age, stale_after), f"tenant {tenant_id}", f"last read {duration(age)} ago")


def _dated_ahead(found: LoadsAhead, now: datetime) -> Finding:
    """Loads of a run under a wrong clock, and those since, which are dated a microsecond apart just after it."""
    until = f"{found.newest_at:%Y-%m-%d %H:%M} UTC"
    return Finding(
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


def _disk(place: Place) -> Iterator[Finding]:
    """A publication writes a copy beside the old one, and a reader may hold the old one open: three ledgers at once."""
    size = place.files.primary.stat().st_size if place.files.primary.exists() else 0
    if not place.data_dir.exists():
        return  # The first run makes it.
    free = shutil.disk_usage(place.data_dir).free
    needed = 2 * size + 100 * _MEGABYTE
    level: Level = "critical" if free < needed else "warn" if free < 5 * needed else "ok"
    yield Finding(level, "disk", f"{free // _MEGABYTE} MB free; a publication needs {needed // _MEGABYTE} MB")


def _backup(place: Place, now: datetime) -> Iterator[Finding]:
    last = last_backup(place.files)
    if last is None:
        yield Finding("warn", "backup", "none was ever made. Make one: pfo backup --to FOLDER")
        return
    at = last.at
    if at - now > CLOCK_DRIFT:
        lacking = "so nobody can tell how old it is. Make one: pfo backup --to FOLDER"
        yield Finding("warn", "backup", f"dated {ago(now - at)}, {lacking}")
        return
    yield Finding("ok" if now - at <= BACKUP_AGE else "warn", "backup", f"made {duration(now - at)} ago")


def _dagster(place: Place, now: datetime) -> Iterator[Finding]:
    if not (place.dagster_home / "dagster.yaml").exists():
        lacking = f"{place.dagster_home} holds no dagster.yaml: no server has run there. Make it: pfo migrate"
        yield Finding("critical", "dagster", lacking)
        return
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)
    from pfo_pipeline.commands.health_of_dagster import dagster_findings  # Importing Dagster costs a second.

    yield from dagster_findings(place, now)
