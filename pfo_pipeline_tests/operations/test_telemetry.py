"""Events: exactly the properties of the contract, masked, and emitted once for any number of attempts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pfo_pipeline.contracts.operations import LIST_ACCOUNTS, SYNC_ACCOUNTS, SyncAccountsInput, SyncAccountsOutput
from pfo_pipeline.operations.step_result import failure_event, success_event
from pfo_pipeline.operations.steps import StepFailed, TryAgain
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, REFRESH, SYNC, Household, token_file

SYNCED = "openbanking.accounts.synced"
SYNC_FAILED = "openbanking.accounts.sync_failed"
REFRESHED = "openbanking.balances.refreshed"
REFRESH_FAILED = "openbanking.balances.refresh_failed"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
IBAN = "FR7699999000820000011200012"

REQUEST = SyncAccountsInput(tenant_id="smith", user_id="jane", connection_id="7")


def test_a_sync_emits_one_event_per_connection(smith: Household) -> None:
    first, second = smith.connect("jane", "1", "2"), smith.connect("jane", "3", state="SCARequired")

    smith.sync()

    assert smith.events() == [
        (SYNCED, {"tenantId": "smith", "connectionId": str(first.id), "synced": 2, "failed": 0}),
        (SYNCED, {"tenantId": "smith", "connectionId": str(second.id), "synced": 0, "failed": 1}),
    ]


def test_a_refresh_emits_one_event_per_account_with_its_number_of_balances(smith: Household) -> None:
    accounts: list[Any] = [{"balance": "1"}, {"balance": "2", "verbatim": {"coming_balance": None}}]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)
    smith.sync()

    outcome = smith.refresh()

    both, one = smith.accounts()
    assert {record.event for record in outcome.batch.telemetry} == {REFRESHED}
    assert {str(record.properties["accountId"]): dict(record.properties) for record in outcome.batch.telemetry} == {
        account.account_id: {
            "tenantId": "smith",
            "accountId": account.account_id,
            "refreshedAt": NOON.isoformat(),
            "balanceCount": count,
        }
        for account, count in ((both, 2), (one, 1))
    }


def test_the_event_of_an_unread_connection_has_the_reason(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.sync()
    smith.bank.fault("status", status=503, path=ACCOUNTS, times=None)

    with pytest.raises(StepFailed):
        smith.attempt(SYNC, attempt=3, last=True)

    ((_, properties),) = [event for event in smith.events() if event[0] == SYNC_FAILED]
    assert set(properties) == {"tenantId", "connectionId", "error"}
    assert (properties["tenantId"], properties["connectionId"]) == ("smith", str(made.id))
    assert properties["error"].startswith(f"GET /smith-sandbox/2.0{ACCOUNTS}: Powens answered 503")


def test_known_connections_emit_events_when_their_list_cannot_be_read(smith: Household) -> None:
    made = [smith.connect("jane", "1"), smith.connect("jane", "2")]
    smith.sync()
    token_file(smith.ledger.files.data_dir, "smith", "jane").write_text("revoked")

    with pytest.raises(StepFailed):
        smith.attempt(SYNC)

    found = [properties["connectionId"] for event, properties in smith.events() if event == SYNC_FAILED]
    assert found == sorted(str(connection.id) for connection in made)


@pytest.mark.parametrize(
    "trouble",
    [{"verbatim": {"balance": None}}, {"verbatim": {"balance": {"odd": 1}}}, {"verbatim": {"balance": "1e40"}}],
    ids=["none yet", "unreadable", "too wide"],
)
def test_the_event_of_an_account_without_a_balance_has_the_reason(smith: Household, trouble: dict[str, Any]) -> None:
    smith.connect("jane", "1", "2")
    smith.sync()
    first, second = smith.accounts()
    smith.bank.change_account(smith.domain, int(first.source_id), **trouble)

    smith.refresh()

    events = [(event, properties["accountId"]) for event, properties in smith.events() if event != SYNCED]
    assert sorted(events) == sorted([(REFRESH_FAILED, first.account_id), (REFRESHED, second.account_id)])
    ((_, failed),) = [event for event in smith.events() if event[0] == REFRESH_FAILED]
    assert set(failed) == {"tenantId", "accountId", "error"}


def test_events_of_accounts_of_an_unread_member_have_the_reason(family: Household) -> None:
    for member in ("jane", "john"):
        family.connect(member, "1", "2")
    family.sync()
    token_file(family.ledger.files.data_dir, "smith", "john").write_text("revoked")

    family.refresh()

    found = [(event, properties["accountId"]) for event, properties in family.events() if event != SYNCED]
    assert sorted(found) == sorted(
        (REFRESHED if account.user_id == "jane" else REFRESH_FAILED, account.account_id)
        for account in family.accounts()
    )


def test_an_event_is_emitted_once_over_all_attempts(family: Household) -> None:
    for member in family.members:
        family.connect(member, "1")
    family.bank.fault("status", status=503, path=ACCOUNTS, user=family.members["john"].id, times=2)
    for attempt in (1, 2):
        with pytest.raises(TryAgain):
            family.attempt(SYNC, attempt=attempt)
        assert family.events() == []

    family.run(SYNC, attempt=3, last=True)

    assert [(event, properties["synced"]) for event, properties in family.events()] == [(SYNCED, 1)] * 3
    assert family.ask("select distinct load_id, run_id from telemetry") == [(3, "run-1")]


def test_every_run_emits_its_events(smith: Household) -> None:
    smith.connect("jane", "1")

    smith.sync(run_id="run-1")
    smith.sync(run_id="run-2")

    assert smith.ask("select run_id, event from telemetry order by 1") == [("run-1", SYNCED), ("run-2", SYNCED)]


def test_events_and_errors_have_no_personal_data(smith: Household) -> None:
    made = smith.connect("jane", "1", "2", "3", state="actionNeeded", error_message=f"Compte {IBAN} bloqué, Mme Smith")
    smith.bank.change_account(smith.domain, made.account_ids[0], name="Smith Jane", bic="BEXAFRPPXXX")
    smith.bank.change_account(smith.domain, made.account_ids[1], verbatim={"balance": IBAN})
    found = [*smith.sync().errors, *smith.refresh().errors]
    token_file(smith.ledger.files.data_dir, "smith", "jane").write_text("secret-token")
    for step in (SYNC, REFRESH):
        with pytest.raises(StepFailed) as failed:
            smith.attempt(step)
        found.append(str(failed.value))

    found += [str(event) for event in smith.events()]
    accounts = smith.accounts()
    secrets = {a.iban for a in accounts} | {a.number for a in accounts} | {IBAN, "BEXAFRPPXXX", "secret-token"}
    assert not [word for word in secrets | {"Smith Jane", "Mme Smith", "bloqué"} if word and word in " ".join(found)]


def test_personal_messages_of_the_bank_are_not_in_the_ledger(smith: Household) -> None:
    smith.connect("jane", "1", state="bug", error_message=f"Virement de Mme Dupont, {IBAN}, https://bank/?token=t0ken")
    smith.sync()
    smith.refresh()

    tables = [name for (name,) in smith.ask("select table_name from duckdb_tables() where schema_name = 'ledger'")]
    everything = " ".join(str(smith.ask(f"from {name}")) for name in tables)
    assert not [word for word in ("Dupont", IBAN, "t0ken") if word in everything]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (f"account {IBAN} is blocked", "account ***********************0012 is blocked"),
        ("FR76 9999 9000 8200 0001 1200 012 is blocked", "***********************0012 is blocked"),
        ("account 00082000112 is blocked", "account *******0112 is blocked"),
        ("see https://bank.example/login?token=abc", "see https://bank.example/…"),
        ("Bearer abc.def", "Bearer ***"),
    ],
)
def test_an_error_is_masked_before_it_becomes_an_event(said: str, found: str) -> None:
    (record,) = failure_event(SYNC_ACCOUNTS, REQUEST, ValueError(said), NOON)

    assert record.properties["error"] == found


def test_an_event_takes_its_properties_from_both_sides_of_the_call() -> None:
    (record,) = success_event(SYNC_ACCOUNTS, REQUEST, SyncAccountsOutput(synced=3, failed=1), NOON)

    assert (record.event, record.tenant_id, record.emitted_at) == (SYNCED, "smith", NOON)
    assert record.properties == {"tenantId": "smith", "connectionId": "7", "synced": 3, "failed": 1}


def test_an_operation_without_telemetry_emits_nothing() -> None:
    assert success_event(LIST_ACCOUNTS, REQUEST, REQUEST, NOON) == ()
    assert failure_event(LIST_ACCOUNTS, REQUEST, ValueError("x"), NOON) == ()


def test_a_failed_member_without_accounts_emits_no_event_and_is_recorded(family: Household) -> None:
    family.connect("jane", "1")
    family.bank.fault("status", status=403, path=CONNECTIONS, user=family.members["john"].id)

    family.sync()

    assert [event for event, _ in family.events()] == [SYNCED]
    assert family.users()["john"].status == "refused"
