"""The step sync-accounts: every connection and account of every user, as Powens has them now, and quarantined records."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pfo_pipeline.ledger.errors import LedgerDamaged
from pfo_pipeline.ledger.known import KnownConnection
from pfo_pipeline.operations.steps import StepOutcome
from pfo_pipeline_tests.operations.household import ACCOUNTS, CONNECTIONS, Household, a_ledger, opened, settle
from pfo_pipeline_tests.simulated_bank import NOON, SimulatedBank

LONG_AGO = "2025-12-01 08:00:00"


def test_everything_a_member_has_is_in_the_ledger_after_a_sync(smith: Household) -> None:
    made = smith.connect("jane", "10.50", "20")

    outcome = smith.sync()

    assert (outcome.batch.synced, outcome.batch.failed, outcome.errors) == (2, 0, ())
    assert [(a.source_id, a.connection_id, a.user_id, a.institution_name) for a in smith.accounts()] == [
        (str(number), str(made.id), "jane", "Banque Exemple") for number in made.account_ids
    ]
    assert [(c.connection_id, c.status) for c in smith.connections()] == [(str(made.id), "healthy")]
    assert smith.users()["jane"].status == "ok"


def test_disabled_and_deleted_accounts_are_synced_too_and_out_of_positions(smith: Household) -> None:
    accounts: list[Any] = [{"balance": "1"}, {"disabled": True}, {"balance": "2", "deleted": True}]
    smith.bank.add_connection(smith.members["jane"], accounts=accounts)

    smith.sync()

    assert [(a.disabled_at is None, a.deleted_at is None) for a in smith.accounts()] == [
        (True, True),
        (False, True),
        (True, False),
    ]
    assert len(smith.ask("from positions")) == 1


def test_every_page_is_read(smith: Household) -> None:
    smith.bank.change_domain(smith.domain, page_size=2)
    for _ in range(3):
        smith.connect("jane", "1", "2", "3")

    with smith.asked() as asked:
        smith.sync()

    assert (len(smith.connections()), len(smith.accounts())) == (3, 9)
    assert (asked.count(("jane", CONNECTIONS)), asked.count(("jane", ACCOUNTS))) == (2, 5)


def test_each_list_is_requested_once_for_any_number_of_connections(family: Household) -> None:
    for member in family.members:
        for _ in range(3):
            family.connect(member, "1")

    with family.asked() as asked:
        family.sync()

    assert asked == sorted((member, path) for member in family.members for path in (ACCOUNTS, CONNECTIONS))


def test_a_member_without_a_connection_is_read_and_has_nothing(smith: Household) -> None:
    outcome = smith.sync()

    assert (outcome.batch.synced, outcome.batch.failed) == (0, 0)
    assert smith.users()["jane"].status == "ok"


def test_an_answer_without_accounts_is_not_a_failure(smith: Household) -> None:
    smith.connect("jane")
    smith.bank.fault("status", status=409, code="noAccount", path=ACCOUNTS)

    outcome = smith.sync()

    assert (outcome.batch.synced, outcome.batch.failed, smith.users()["jane"].status) == (0, 0, "ok")


def test_the_same_sync_again_adds_nothing(smith: Household) -> None:
    smith.connect("jane", "1", "2")
    smith.sync()

    smith.sync(run_id="run-2")

    first, second = smith.merged
    assert (first.added("accounts"), first.added("connections"), first.added("users")) == (2, 1, 1)
    assert [count.added for count in second.counts.values()] == [0] * len(second.counts)
    assert second.unchanged("accounts") == 2


def test_a_change_at_the_bank_is_a_further_version(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.sync()
    smith.bank.advance(hours=1)
    smith.bank.change_account(smith.domain, made.account_ids[0], name="Renamed")

    smith.sync()

    assert smith.merged[-1].added("accounts") == 1
    assert [a.display_name for a in smith.accounts()] == ["Renamed", "Compte courant"]
    assert [a.updated_at - a.created_at for a in smith.accounts()] == [timedelta(hours=1), timedelta(0)]


# Powens' state of a connection -> our state, who must act, whether its accounts count as up to date.
STANDS: dict[str, tuple[dict[str, Any], str, str | None, bool]] = {
    "null": ({}, "healthy", None, True),
    "SCARequired": ({"state": "SCARequired"}, "needs-person", "member", False),
    "webauthRequired": ({"state": "webauthRequired"}, "needs-person", "member", False),
    "additionalInformationNeeded": ({"state": "additionalInformationNeeded"}, "needs-person", "member", False),
    "decoupled": ({"state": "decoupled"}, "needs-person", "member", False),
    "wrongpass": ({"state": "wrongpass"}, "needs-person", "member", False),
    "passwordExpired": ({"state": "passwordExpired"}, "needs-person", "member", False),
    "actionNeeded": ({"state": "actionNeeded"}, "needs-person", "member", False),
    "notSupported": ({"state": "notSupported"}, "needs-person", "operator", False),
    "validating": ({"state": "validating"}, "temporary", "nobody", False),
    "rateLimiting": ({"state": "rateLimiting"}, "temporary", "bank", False),
    "websiteUnavailable": ({"state": "websiteUnavailable"}, "temporary", "bank", False),
    "bug": ({"state": "bug"}, "temporary", "powens", False),
    "one nobody knows": ({"state": "moonPhase"}, "unknown", "operator", False),
    "switched off": ({"active": False}, "paused", "operator", False),
    "silent": ({"last_update": LONG_AGO}, "silent", "operator", False),
    "stuck": ({"last_update": LONG_AGO, "next_try": None}, "silent", "operator", False),
    "one failing source": ({"source_states": {"openapi": "wrongpass"}}, "needs-person", "member", False),
}


def test_a_field_that_has_changed_its_type_is_reported_once_with_its_count(smith: Household) -> None:
    made = smith.connect("jane", "1", "2", "3")
    for account_id in made.account_ids[:2]:
        smith.bank.change_account(smith.domain, account_id, verbatim={"balance": {"amount": 5}})

    outcome = smith.sync()

    assert outcome.drift["account.balance=(does not fit)"] == 2
    assert smith.ask("select field, value from drift where value <> ''") == [("account.balance", "(does not fit)")]
    assert len(smith.accounts()) == 3


def test_a_source_that_fails_for_days_under_a_fresh_connection_is_reported(smith: Household) -> None:
    smith.connect("jane", "1", source_states={"openapi": "bug"})
    stands = []
    for days in (1, 3):
        smith.bank.advance(days=days)
        smith.sync()
        (found,) = smith.connections()
        stands.append((found.state, found.status, found.who_acts))

    assert found.last_success_at is not None
    assert smith.now - found.last_success_at < timedelta(days=1)
    assert stands == [("bug", "temporary", "powens"), ("bug", "temporary", "operator")]


@dataclass
class Troubled:
    """A tenant with one connection in each state, each with one account, after one sync."""

    household: Household
    ids: dict[str, str]
    outcome: StepOutcome

    def connection(self, name: str) -> KnownConnection:
        return next(c for c in self.household.connections() if c.connection_id == self.ids[name])


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    folder = tmp_path_factory.mktemp("troubled") / "data"
    with SimulatedBank() as bank, opened(ledger := a_ledger(folder, bank)):
        household = settle(bank, ledger)
        ids = {
            name: str(household.connect("jane", "1", connector="Crédit des Deux Rives", **fields).id)
            for name, (fields, *_) in STANDS.items()
        }
        yield Troubled(household, ids, household.sync())


@pytest.mark.parametrize("name", STANDS)
def test_each_state_is_recorded_with_who_must_act(troubled: Troubled, name: str) -> None:
    _, status, who_acts, _ = STANDS[name]

    found = troubled.connection(name)

    assert (found.status, found.who_acts) == (status, who_acts)
    assert (found.remedy is None) == (status == "healthy")


@pytest.mark.parametrize("name", STANDS)
def test_a_link_is_given_when_a_member_must_act(troubled: Troubled, name: str) -> None:
    found = troubled.connection(name)

    if STANDS[name][2] == "member":
        assert found.link is not None
        assert f"connection_id={found.connection_id}" in found.link
    else:
        assert found.link is None


@pytest.mark.parametrize("name", STANDS)
def test_each_state_counts_as_synced_or_failed_in_the_event(troubled: Troubled, name: str) -> None:
    events = troubled.household.events()

    (given,) = [properties for _, properties in events if properties["connectionId"] == troubled.ids[name]]

    expected = (1, 0) if STANDS[name][3] else (0, 1)
    assert (given["synced"], given["failed"]) == expected


def test_connections_with_errors_do_not_stop_the_others(troubled: Troubled) -> None:
    outcome, household = troubled.outcome, troubled.household

    assert (outcome.batch.synced, outcome.batch.failed) == (1, len(STANDS) - 1)
    assert len(outcome.errors) == len(STANDS) - 1
    assert len(household.accounts()) == len(STANDS)
    assert household.users()["jane"].status == "ok"


def test_an_unknown_state_is_reported_as_drift(troubled: Troubled) -> None:
    assert "connection.state=moonPhase" in troubled.outcome.drift
    assert ("connection.state", "moonPhase") in troubled.household.ask("select field, value from drift")


def test_a_connection_that_recovers_is_healthy_again(smith: Household) -> None:
    made = smith.connect("jane", "1", state="SCARequired")
    smith.sync()
    smith.bank.change_connection(smith.domain, made.id, state=None)

    outcome = smith.sync()

    assert [c.status for c in smith.connections()] == ["healthy"]
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 0)
    assert smith.ask("select status from connections order by load_id") == [("needs-person",), ("healthy",)]


def test_an_account_that_vanished_is_marked_once_and_keeps_its_history(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    smith.sync()
    smith.refresh()
    smith.bank.change_account(smith.domain, made.account_ids[0], deleted=NOON.isoformat())

    smith.sync()
    smith.bank.advance(hours=1)
    smith.sync()

    assert [a.deleted_at for a in smith.accounts()] == [NOON, None]
    assert [result.added("accounts") for result in smith.merged[-2:]] == [1, 0]
    assert smith.ask("select current_balance from balances order by 1") == [(1,), (2,)]
    assert smith.ask("select current_balance from positions") == [(2,)]


def test_an_account_that_is_listed_again_is_enabled_again(smith: Household) -> None:
    made = smith.connect("jane", "1", "2")
    number = made.account_ids[0]
    smith.sync()
    smith.bank.change_account(smith.domain, number, verbatim={"id": 55})
    smith.sync()
    assert len(smith.ask("from positions")) == 2
    smith.bank.change_account(smith.domain, number, verbatim={"id": number})

    smith.sync()

    assert {a.source_id: a.missing_since is None for a in smith.accounts()} == {
        "55": False,
        str(number): True,
        str(made.account_ids[1]): True,
    }


def test_a_connection_that_vanished_is_marked_once_with_its_accounts(smith: Household) -> None:
    kept = smith.connect("jane", "1")
    removed = smith.connect("jane", "2")
    smith.sync()
    smith.bank.delete_connection(smith.domain, removed.id)

    outcome = smith.sync()
    smith.sync()

    assert [(c.connection_id, c.status) for c in smith.connections()] == [
        (str(kept.id), "healthy"),
        (str(removed.id), "gone"),
    ]
    assert [a.deleted_at is None for a in smith.accounts()] == [True, False]
    assert [(r.added("connections"), r.added("accounts")) for r in smith.merged] == [(2, 2), (1, 1), (0, 0)]
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 0)


def test_accounts_of_one_member_are_not_missing_for_another(family: Household) -> None:
    for member in family.members:
        family.connect(member, "1")
    family.sync()

    family.sync()

    assert [a.deleted_at for a in family.accounts()] == [None] * 3
    assert {c.status for c in family.connections()} == {"healthy"}


def test_a_connection_that_moves_to_another_member_is_never_gone_nor_its_accounts(family: Household) -> None:
    for listed_first, then in (("jane", "june"), ("june", "jane")):
        moving = family.connect(listed_first, "1")
        family.sync()
        family.bank.delete_connection(family.domain, moving.id)
        family.bank.add_connection(
            family.members[then],
            verbatim={"id": moving.id},
            accounts=[{"balance": "1", "verbatim": {"id": moving.account_ids[0], "id_connection": moving.id}}],
        )

        family.sync()

        found = next(a for a in family.accounts() if a.source_id == str(moving.account_ids[0]))
        assert (found.user_id, found.is_enabled) == (then, True)
        assert {c.connection_id: c.user_id for c in family.connections()}[str(moving.id)] == then
    assert {c.status for c in family.connections()} == {"healthy"}


def test_an_account_that_two_members_list_stays_with_the_first(family: Household) -> None:
    made = family.connect("june", "1")
    twin: dict[str, Any] = {"balance": "1", "moves": False}
    twin |= {"verbatim": {"id": made.account_ids[0], "id_connection": made.id}}
    family.bank.add_connection(family.members["john"], verbatim={"id": made.id}, accounts=[twin])

    family.sync()
    family.sync()
    outcome = family.refresh()

    assert [a.user_id for a in family.accounts()] == ["john"]
    assert [r.added("accounts") for r in family.merged] == [1, 0, 0]
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 0)


def test_an_id_with_two_records_is_quarantined_and_nothing_is_gone(smith: Household) -> None:
    made = smith.connect("jane", "1", "2", "3")
    smith.sync()
    before = smith.accounts()
    smith.bank.change_account(smith.domain, made.account_ids[1], verbatim={"id": made.account_ids[0]})

    outcome = smith.sync()

    given = "id: in one page more than once, with different content"
    assert smith.ask("select source_id, reason from quarantine") == [(str(made.account_ids[0]), given)] * 2
    assert outcome.batch.failed == 3
    assert [a.is_enabled for a in smith.accounts()] == [True, True, True]
    assert [a.missing_since is None for a in smith.accounts()] == [
        True,
        False,
        True,
    ]  # The second's own id is not listed.
    assert smith.accounts()[0] == before[0]


def test_two_equal_records_are_one(smith: Household) -> None:
    made = smith.connect("jane", "1")
    with smith.bank.client(smith.members["jane"]) as client:
        [account] = client.get(ACCOUNTS.removeprefix("/")).json()["accounts"]
    smith.bank.fault("body", path=ACCOUNTS, body=json.dumps({"accounts": [account, account]}))

    outcome = smith.sync()

    assert smith.ask("from quarantine") == []
    assert [a.source_id for a in smith.accounts()] == [str(made.account_ids[0])]
    assert outcome.batch.failed == 0


def test_an_account_that_breaks_the_contract_is_quarantined_and_the_rest_continues(smith: Household) -> None:
    broken = [
        ("currency", "EUR"),
        ("iban", {"odd": 1}),
        ("id", "seven"),
        ("id", None),
        ("last_update", "yesterday"),
        ("type", 7),
    ]
    whole: Any = {"balance": "1"}
    accounts = [whole, *({"balance": "2", "verbatim": {field: value}} for field, value in broken)]
    made = smith.bank.add_connection(smith.members["jane"], accounts=accounts)

    outcome = smith.sync()

    put_aside = smith.ask("select record, split_part(reason, ':', 1) from quarantine order by all")
    assert put_aside == [("account", field) for field, _ in broken]
    assert (outcome.batch.synced, outcome.batch.failed) == (1, len(broken))
    assert [a.source_id for a in smith.accounts()] == [str(made.account_ids[0])]


def test_a_quarantined_record_is_reported_once_and_never_with_its_value(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"currency": "FR7699999000820000011200012"})

    smith.sync()
    outcome = smith.sync()

    [(source_id, reason)] = smith.ask("select source_id, reason from quarantine")
    assert (source_id, reason.partition(":")[0]) == (str(made.account_ids[0]), "currency")
    assert outcome.batch.failed == 1
    assert "FR7699999000820000011200012" not in str(outcome)


@pytest.mark.parametrize("unreadable", [{"iban": {}}, {"id": "seven"}, {"id": None}], ids=str)
def test_an_account_whose_record_becomes_unreadable_is_not_gone(smith: Household, unreadable: dict[str, Any]) -> None:
    made = smith.connect("jane", "1", "2")
    smith.sync()
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim=unreadable)

    smith.sync()

    assert [a.deleted_at for a in smith.accounts()] == [None, None]


@pytest.mark.parametrize("unreadable", [{"state": 7}, {"id": "seven"}], ids=str)
def test_a_connection_with_an_unreadable_record_is_quarantined_with_its_accounts(
    smith: Household, unreadable: dict[str, Any]
) -> None:
    broken, kept = smith.connect("jane", "1"), smith.connect("jane", "2")
    smith.sync()
    smith.bank.change_connection(smith.domain, broken.id, verbatim=unreadable)

    outcome = smith.sync()

    assert (outcome.batch.synced, outcome.batch.failed) == (1, 2)
    assert [c.status for c in smith.connections()] == ["healthy", "healthy"]
    assert [a.deleted_at for a in smith.accounts()] == [None, None]
    assert sorted(smith.ask("select record, source_id from quarantine where record = 'account'")) == [
        ("account", str(broken.account_ids[0]))
    ]
    assert kept.id != broken.id


@pytest.mark.parametrize(
    ("path", "key", "record"), [(ACCOUNTS, "accounts", "account"), (CONNECTIONS, "connections", "connection")]
)
def test_an_inconsistent_list_marks_nothing_as_removed(smith: Household, path: str, key: str, record: str) -> None:
    smith.connect("jane", "1")
    smith.sync()
    smith.bank.fault("body", path=path, body=f'{{"{key}": [], "total": 1}}', times=2)

    outcome = smith.sync()

    assert outcome.drift[f"{key}.total=differs"] == 1
    assert [c.status for c in smith.connections()] == ["healthy"]
    assert [a.deleted_at for a in smith.accounts()] == [None]
    assert (record, None, "list: twice fewer records than its own total says") in smith.ask(
        "select record, source_id, reason from quarantine"
    )


@pytest.mark.parametrize("connection_id", [999_999, None])
def test_an_account_of_a_missing_connection_is_quarantined(smith: Household, connection_id: int | None) -> None:
    made = smith.connect("jane", "1", "2")
    smith.bank.change_account(smith.domain, made.account_ids[0], verbatim={"id_connection": connection_id})

    outcome = smith.sync()

    assert smith.ask("select source_id, reason from quarantine") == [
        (str(made.account_ids[0]), "id_connection: no connection of this user")
    ]
    assert (outcome.batch.synced, outcome.batch.failed) == (1, 1)


def test_an_unknown_type_and_field_are_kept_and_reported_as_drift_once(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.bank.change_account(smith.domain, made.account_ids[0], type="vault", aura="blue")
    other = smith.connect("jane", "2")
    smith.bank.change_account(smith.domain, other.account_ids[0], type="vault")

    first = smith.sync()
    smith.sync()

    assert (first.drift["account.type=vault"], first.drift["account.aura"]) == (2, 1)
    assert [a.account_type for a in smith.accounts()] == ["vault", "vault"]
    assert smith.ask("select count(*) from drift where field in ('account.type', 'account.aura')") == [(2,)]
    assert smith.merged[-1].added("drift") == 0


def test_the_canonical_id_stays_with_the_account(smith: Household) -> None:
    made = smith.connect("jane", "1")
    smith.sync()
    before = [a.account_id for a in smith.accounts()]
    smith.bank.change_account(smith.domain, made.account_ids[0], name="Renamed", iban=None, type="savings")

    smith.sync()

    assert [a.account_id for a in smith.accounts()] == before


def test_canonical_ids_differ_between_tenants_and_domains_with_the_same_numbers(
    bank: SimulatedBank, smith: Household
) -> None:
    jones = settle(bank, smith.ledger, "jones")
    moved = settle(bank, smith.ledger, "smith2")
    moved.tenant = moved.tenant.model_copy(update={"id": "smith"})
    for household in (smith, jones, moved):
        household.connect("jane", "1")

    synced = [household.sync().batch.rows for household in (smith, jones, moved)]

    rows = [next(iter(rows)) for batch in synced for kind, rows in batch.items() if kind.__name__ == "AccountRow"]
    assert len({row.source_id for row in rows}) == 1  # type: ignore[union-attr]
    assert len({row.account_id for row in rows}) == 3  # type: ignore[union-attr]


def test_two_tenants_in_one_ledger_do_not_touch_each_other(bank: SimulatedBank, smith: Household) -> None:
    jones = settle(bank, smith.ledger, "jones")
    smith.connect("jane", "1")
    jones.connect("jane", "2", "3")
    smith.sync()
    jones.sync()

    smith.sync()

    assert (len(smith.accounts()), len(jones.accounts())) == (1, 2)
    assert {a.deleted_at for a in (*smith.accounts(), *jones.accounts())} == {None}


def test_a_sync_is_dated_by_the_given_clock(smith: Household) -> None:
    smith.connect("jane", "1")

    smith.sync()

    assert [a.created_at for a in smith.accounts()] == [datetime(2026, 3, 10, 12, 0, tzinfo=UTC)]


def test_a_damaged_ledger_is_found_before_any_request_to_the_bank(bank: SimulatedBank, tmp_path: Path) -> None:
    smith = settle(bank, a_ledger(tmp_path, bank))
    smith.ledger.files.primary.write_bytes(b"damaged")

    with smith.asked() as asked, pytest.raises(LedgerDamaged):
        smith.sync()

    assert asked == []
