"""From a sync at the bank to a run of that tenant: post, inbox, sensor; and the repair by schedules after a failure."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from pfo_pipeline.cli.context import find_place
from pfo_pipeline.cli.webhooks import register_webhooks
from pfo_pipeline.config import load_config
from pfo_pipeline.defs.schedules import ACCOUNTS, QUARTER_MINUTES, due
from pfo_pipeline_tests.defs.office import (
    ACCOUNTS_JOB,
    BALANCES_JOB,
    DAGSTERS_OWN_WARNING,
    Office,
    run_job,
    sync_and_refresh,
    today,
)
from pfo_pipeline_tests.defs.test_schedules import tick
from pfo_pipeline_tests.defs.test_sensors import Ticks
from pfo_pipeline_tests.simulated_bank import SimulatedBank
from pfo_pipeline_tests.webhooks.receiving import Receiving

pytestmark = pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)
TENANTS = ("jones", "smith")


@pytest.fixture
def instance(lasting_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    lasting_instance.add_dynamic_partitions("tenants", list(TENANTS))
    return lasting_instance


@pytest.fixture
def receiver(office: Office) -> Iterator[Receiving]:
    """A receiver that is registered at the banks of both tenants, each tenant with one connection."""
    for tenant in TENANTS:
        domain = office.add_tenant(
            tenant, "jane", config_token=f"file:{tenant}.config", webhook_secret=f"file:{tenant}.hooks"
        )
        (office.folder / f"{tenant}.config").write_text(domain.config_token)
    with Receiving(office.config, office.files.private, today()) as running:
        for tenant in TENANTS:
            register_webhooks(find_place(), tenant, running.url, lambda _: None)
        yield running


def names(receiver: Receiving) -> list[str]:
    return [event.hint.event for event in receiver.kept()]


def domain_of(office: Office, tenant: str) -> str:
    return str(office.tenants[tenant]["domain"])


def statuses(bank: SimulatedBank) -> list[int]:
    return [post["status"] for post in bank.posts()]


def test_a_sync_at_the_bank_starts_a_run_that_reads_the_new_balances(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    ids = {tenant: office.connect(tenant, "jane", "1000") for tenant in TENANTS}
    for tenant in TENANTS:
        assert all(result.success for result in sync_and_refresh(office, instance, tenant))
    webhooks, after_sync = Ticks(instance, "webhooks"), Ticks(instance, "after_sync")
    assert webhooks.next() == after_sync.next() == []

    (account,) = [a["id"] for a in _accounts(office, bank, "smith")]
    bank.change_account(domain_of(office, "smith"), account, balance="1234.56", moves=False)
    bank.advance(minutes=30)
    receiver.now += timedelta(minutes=30)
    bank.sync(domain_of(office, "smith"), ids["smith"])
    assert set(statuses(bank)) == {204}

    assert webhooks.next() == [(ACCOUNTS_JOB, "smith")]
    assert run_job(office, instance, "smith").success
    assert after_sync.next() == [(BALANCES_JOB, "smith")]
    assert run_job(office, instance, "smith", BALANCES_JOB).success
    assert office.ask("select distinct current_balance::varchar from positions where tenant_id = 'smith'") == [
        ("1234.5600000000",)
    ]
    assert webhooks.next() == []


def _accounts(office: Office, bank: SimulatedBank, tenant: str) -> list[dict[str, int]]:
    with bank.client(office.users[tenant, "jane"]) as client:
        accounts: list[dict[str, int]] = client.get("users/me/accounts").json()["accounts"]
    return accounts


def test_a_sync_that_failed_without_accounts_leads_to_a_run(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    connection = office.connect("smith", "jane", "1000", state="SCARequired")

    bank.sync(domain_of(office, "smith"), connection)
    bank.posts()

    (event,) = receiver.kept()
    assert (event.hint.connection_id, event.hint.error) == (connection, "SCARequired")
    assert Ticks(instance, "webhooks").next() == [(ACCOUNTS_JOB, "smith")]


def test_an_event_is_a_hint_and_the_state_is_read_from_the_bank(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    """The event is late: the member has already signed in again."""
    connection = office.connect("smith", "jane", "1000", state="SCARequired")
    bank.sync(domain_of(office, "smith"), connection)
    bank.posts()
    bank.change_connection(domain_of(office, "smith"), connection, state=None)

    assert Ticks(instance, "webhooks").next() == [(ACCOUNTS_JOB, "smith")]
    assert run_job(office, instance, "smith").success

    assert receiver.kept()[0].hint.error == "SCARequired"
    assert office.ask("select state from connections") == [(None,)]


def test_copies_and_a_wrong_order_start_no_additional_run(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    connection = office.connect("smith", "jane", "1", "2")
    bank.post_fault("duplicate", times=10)
    bank.post_fault("reorder")

    bank.sync(domain_of(office, "smith"), connection)

    assert statuses(bank) == [204] * 8
    assert names(receiver) == ["CONNECTION_SYNCED", "ACCOUNT_SYNCED", "ACCOUNT_SYNCED", "ACCOUNTS_FETCHED"]
    ticks = Ticks(instance, "webhooks")
    assert ticks.next() == [(ACCOUNTS_JOB, "smith")]
    assert ticks.next() == []


@pytest.mark.parametrize("kind", ["forge", "stale"])
def test_forged_and_stale_posts_are_refused_and_the_real_one_is_accepted(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance, kind: str
) -> None:
    connection = office.connect("smith", "jane")
    bank.post_fault(kind, event="CONNECTION_SYNCED")

    bank.sync(domain_of(office, "smith"), connection)
    posts = bank.posts() + bank.posts()

    assert {post["status"] for post in posts if post["fault"] == kind} == {401}
    assert names(receiver) == ["ACCOUNTS_FETCHED", "CONNECTION_SYNCED"]
    assert bank.pending_posts() == 0


def test_packed_posts_arrive(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    bank.change_domain(domain_of(office, "smith"), webhooks_gzip=True)

    bank.sync(domain_of(office, "smith"), office.connect("smith", "jane", "1"))

    assert statuses(bank) == [204] * 3
    assert Ticks(instance, "webhooks").next() == [(ACCOUNTS_JOB, "smith")]


def test_posts_during_the_receivers_absence_arrive_later(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    connection = office.connect("smith", "jane", "1")
    inbox = office.files.private / "webhooks.sqlite"
    inbox.rename(office.folder / "aside")
    inbox.mkdir()
    bank.sync(domain_of(office, "smith"), connection)
    assert set(statuses(bank)) == {503}
    inbox.rmdir()
    (office.folder / "aside").rename(inbox)

    bank.posts()

    assert bank.pending_posts() == 0
    assert Ticks(instance, "webhooks").next() == [(ACCOUNTS_JOB, "smith")]


def test_a_lost_post_is_repaired_by_the_nightly_schedule(
    office: Office, bank: SimulatedBank, receiver: Receiving, instance: dg.DagsterInstance
) -> None:
    connection = office.connect("smith", "jane", "1")
    bank.post_fault("lose", times=10)
    bank.sync(domain_of(office, "smith"), connection)
    assert bank.posts() == []
    assert Ticks(instance, "webhooks").next() == []

    tenant = load_config().tenant("smith")
    quarters = (today().replace(minute=0, second=0) + timedelta(minutes=QUARTER_MINUTES * n) for n in range(96))
    night = next(at for at in quarters if any(slot.begins == at for slot in due([tenant], ACCOUNTS, at, [])))
    requests = tick(instance, "accounts_nightly", night)

    assert not isinstance(requests, str)
    assert "smith" in [request.partition_key for request in requests]
