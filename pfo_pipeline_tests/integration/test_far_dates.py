"""Dates outside our range, as a bank sends them: over real HTTP to the ledger, the terminal and the page."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING, Office, metadata, sync_and_refresh
from pfo_pipeline_tests.integration.programs import pfo

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)

NEVER = "9999-12-31 23:59:59"
NONE = "0000-00-00 00:00:00"
ZONES = (
    "Pacific/Kiritimati",
    "Asia/Tokyo",
    "Europe/Paris",
    "UTC",
    "America/New_York",
    "Pacific/Pago_Pago",
)
SOURCE = {"id": 1, "name": "openapi", "state": None, "disabled": None}
FAR: dict[str, Any] = {
    **dict.fromkeys(("expire", "next_try", "created"), NEVER),
    "sources": [SOURCE | {"access_expire": NEVER}],
}


def tenant_of(zone: str) -> str:
    return zone.rpartition("/")[2].lower().replace("_", "-")


@pytest.fixture
def around_the_world(office: Office) -> Office:
    """A tenant in each time zone, each with a consent that never ends."""
    office.report = {"after_refresh": True}
    for zone in ZONES:
        office.add_tenant(tenant_of(zone), "jane", timezone=zone)
        office.connect(tenant_of(zone), "jane", "7", verbatim=FAR)
    return office


def test_an_endless_consent_is_shown_in_every_time_zone(around_the_world: Office, instance: dg.DagsterInstance) -> None:
    office = around_the_world
    for zone in ZONES:
        runs = sync_and_refresh(office, instance, tenant_of(zone))
        assert all(run.success for run in runs), zone
        page = Path(str(metadata(runs[-1], "reports/cash_page")["page"])).read_text(encoding="utf-8")
        assert re.search(r"datetime=.8999-12-31", page), zone

    assert office.ask(
        "select distinct consent_expires_at = '8999-12-31 00:00:00Z', next_try_at = '8999-12-31 00:00:00Z', "
        "created_at = '8999-12-31 00:00:00Z' from connections"
    ) == [(True, True, True)]
    for zone in (
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
    ):  # This machine's own zone, in which DuckDB returns dates to Python.
        status = pfo("status", cwd=office.folder, output=office.environment() | {"TZ": zone})
        assert status.returncode == 0, status.stderr
        assert status.stdout.count("8999-12-31 00:00Z (") == len(ZONES)
        rows = pfo(
            "sql",
            "select consent_expires_at from connections",
            cwd=office.folder,
            output=office.environment() | {"TZ": zone},
        )
        assert rows.returncode == 0, rows.stderr


def test_a_ledger_with_older_far_dates_is_still_read(office: Office, instance: dg.DagsterInstance) -> None:
    office.report = {"after_refresh": True}
    office.add_tenant("smith", "jane", timezone="Pacific/Kiritimati")
    office.connect("smith", "jane", "7")
    sync_and_refresh(office, instance, "smith")
    for path in (office.files.primary, office.files.published):
        path.chmod(0o600)
        with duckdb.connect(str(path)) as ledger:
            ledger.execute("use ledger")
            ledger.execute(
                "update connections set consent_expires_at = '9999-12-31 22:59:59Z', next_try_at = '0001-01-01 00:00:00Z'"
            )
            ledger.execute(
                "update accounts set disabled_at = '9999-12-31 22:59:59Z', deleted_at = '9999-12-31 22:59:59Z'"
            )

    for words in (("status",), ("accounts", "--tenant", "smith"), ("report",), ("connections",)):
        for zone in ("Pacific/Kiritimati", "America/New_York"):
            shown = pfo(*words, cwd=office.folder, output=office.environment() | {"TZ": zone})
            assert shown.returncode == 0, shown.stderr


def test_an_invalid_date_loses_no_record_and_is_reported_once(office: Office, instance: dg.DagsterInstance) -> None:
    office.report = {"after_refresh": True}
    office.add_tenant("smith", "jane", timezone="Pacific/Kiritimati")
    source = SOURCE | dict.fromkeys(("last_update", "next_try", "access_expire"), NONE)
    dates = dict.fromkeys(("created", "next_try", "expire"), NONE)
    hidden: list[Any] = [
        {"balance": str(number + 2), "moves": False, "verbatim": {name: output}}
        for number, (name, output) in enumerate(
            [(name, output) for name in ("disabled", "deleted") for output in (NEVER, "0001-01-01", "soon", True)]
        )
    ]
    office.bank.add_connection(
        office.users["smith", "jane"],
        accounts=[{"balance": "1", "moves": False}, *hidden],
        verbatim=dates | {"sources": [source]},
    )

    for _ in range(2):
        for run in sync_and_refresh(office, instance, "smith"):
            assert run.success

    assert office.ask("from quarantine where record <> 'balance'") == []
    assert office.ask("select count(*), count(distinct account_id), max(recorded_at) from accounts")[0][:2] == (9, 9)
    assert office.ask("select current_balance::int from positions") == [(1,)]
    assert office.ask(
        "select count(*) from accounts_latest where coalesce(disabled_at, deleted_at) <= recorded_at"
    ) == [(8,)]
    assert office.ask("select field, count(*) from drift where value = '(no date)' group by all order by all") == [
        ("account.deleted", 1),
        ("account.disabled", 1),
        ("connection.created", 1),
        ("connection.expire", 1),
        ("connection.next_try", 1),
        ("source.access_expire", 1),
        ("source.last_update", 1),
        ("source.next_try", 1),
    ]
