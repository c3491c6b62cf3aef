"""From the inbox to runs: of the right tenant, in order, each event once, none lost."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.powens.webhooks import Hint
from pfo_pipeline.webhooks.inbox import KEPT, Inbox, inbox_path
from pfo_pipeline_tests.defs.office import ACCOUNTS_JOB, BALANCES_JOB, Office
from pfo_pipeline_tests.defs.test_sensors import Ticks


class Posts:
    """An office's inbox and its sender."""

    def __init__(self, office: Office) -> None:
        self.now = utc_now()
        self.inbox = Inbox(inbox_path(office.files.private), lambda: self.now)
        self.inbox.prepare()
        self._last = 556_000

    def add(self, tenant: str, event: str = "CONNECTION_SYNCED", error: str | None = None) -> int:
        self._last += 1
        self.inbox.keep(tenant, Hint(event, self._last, 4821, 731, error))
        return self._last


@pytest.fixture
def instance(lasting_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    lasting_instance.add_dynamic_partitions("tenants", ["jones", "moreau", "smith"])
    return lasting_instance


@pytest.fixture
def posts(office: Office) -> Posts:
    for tenant in ("jones", "moreau", "smith"):
        office.add_tenant(tenant, "jane")
    return Posts(office)


@pytest.fixture
def ticks(posts: Posts, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(instance, "webhooks")


def keys(ticks: Ticks) -> list[str | None]:
    return [request.run_key for request in ticks.requests]


def test_without_posts_nothing_is_requested(office: Office, instance: dg.DagsterInstance) -> None:
    office.add_tenant("smith", "jane")
    ticks = Ticks(instance, "webhooks")

    assert ticks.next() == []
    assert ticks.skipped == "Powens has posted nothing since the last look."


def test_each_tenant_with_events_is_requested_once_in_order_of_arrival(posts: Posts, ticks: Ticks) -> None:
    for tenant in ("smith", "jones", "smith", "moreau", "jones"):
        last = posts.add(tenant)

    ticks.next()

    assert [request.partition_key for request in ticks.requests] == ["smith", "jones", "moreau"]
    assert keys(ticks)[1] == f"jones:CONNECTION_SYNCED:{last}"
    assert ticks.next() == []


def test_a_synced_account_requests_balances_and_other_events_accounts(posts: Posts, ticks: Ticks) -> None:
    """Balances follow accounts by the sensor `after_sync`."""
    posts.add("jones", "ACCOUNT_SYNCED")
    posts.add("smith", "ACCOUNT_SYNCED")
    posts.add("smith", "ACCOUNT_FOUND")
    posts.add("moreau", "CONNECTION_DELETED")

    assert ticks.next() == [(BALANCES_JOB, "jones"), (ACCOUNTS_JOB, "moreau"), (ACCOUNTS_JOB, "smith")]


def test_a_sync_that_failed_without_accounts_is_not_lost(posts: Posts, ticks: Ticks) -> None:
    posts.add("smith", error="SCARequired")

    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]
    (request,) = ticks.requests
    assert request.tags["pfo/webhooks"] == "CONNECTION_SYNCED"
    assert request.tags["pfo/webhook_errors"] == "SCARequired"


def test_more_events_than_one_page_are_all_followed(
    posts: Posts, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfo_pipeline.defs.sensors._EVENTS", 2)
    for tenant in ("smith", "smith", "jones", "smith", "moreau"):
        posts.add(tenant)

    asked = [sorted(str(tenant) for _, tenant in ticks.next()) for _ in range(4)]

    assert asked == [["smith"], ["jones", "smith"], ["moreau"], []]


def test_an_interrupted_tick_requests_with_the_same_key(posts: Posts, ticks: Ticks) -> None:
    """Dagster stores the cursor after the runs, and starts no second run for a known key."""
    posts.add("smith")
    ticks.next()
    first = keys(ticks)

    ticks.cursor = None
    ticks.next()

    assert keys(ticks) == first


def test_a_restart_with_an_old_cursor_continues_from_it(
    posts: Posts, ticks: Ticks, instance: dg.DagsterInstance
) -> None:
    posts.add("smith")
    ticks.next()
    posts.add("jones")
    after = Ticks(instance, "webhooks")
    after.cursor = ticks.cursor

    assert after.next() == [(ACCOUNTS_JOB, "jones")]


def test_an_unregistered_tenants_event_is_skipped_and_delays_no_other(posts: Posts, ticks: Ticks) -> None:
    posts.add("stranger")
    assert ticks.next() == []
    assert ticks.skipped is not None
    assert "posted for stranger: no such tenant is registered" in ticks.skipped

    posts.add("stranger")
    posts.add("smith")
    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]


def test_followed_events_are_deleted_later(posts: Posts, ticks: Ticks) -> None:
    posts.now = datetime.now(UTC) - KEPT - timedelta(hours=1)
    for _ in range(3):
        posts.add("smith")
    posts.now = datetime.now(UTC)
    posts.add("smith")

    ticks.next()
    assert len(posts.inbox.after(0, 10)) == 4
    ticks.next()
    assert len(posts.inbox.after(0, 10)) == 1


def test_a_broken_configuration_or_inbox_gives_the_reason_and_loses_nothing(
    office: Office, posts: Posts, ticks: Ticks
) -> None:
    posts.add("smith")
    office.config.write_text("tenants = 1\n")
    assert ticks.next() == []
    assert ticks.skipped is not None
    assert "tenants: must be tables" in ticks.skipped
    office.write()
    inbox = inbox_path(office.files.private)
    inbox.rename(office.folder / "aside")
    inbox.write_bytes(b"no database" * 1000)
    assert ticks.next() == []
    assert "cannot be used" in ticks.skipped

    (office.folder / "aside").replace(inbox)
    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]
