"""Canonical rows from wire records: ids, institutions, the derived balance, quarantine and its reasons."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfo_pipeline.config import Tenant
from pfo_pipeline.contracts.tables import BalanceRow, QuarantineRow
from pfo_pipeline.powens.mapping import (
    account_id,
    account_row,
    balance_row,
    connection_row,
    lacks_a_date,
    parse,
    quarantined,
    situation,
)
from pfo_pipeline.powens.models import Account, Connection
from pfo_pipeline.powens.schema_drift import unread_fields
from pfo_pipeline.powens.values import LATEST, ToldTwice, digest

steady = settings(derandomize=True, deadline=None)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
NO_DATES = ("0001-01-01 00:00:00", "1900-01-01 00:00:00", "soon", 17)
UUID = "338178e6-3d01-564f-9a7b-52ca442459bf"

ACCOUNT: dict[str, Any] = {
    "id": 17,
    "id_connection": 38,
    "id_parent": None,
    "number": "3002900000",
    "original_name": "CPTE CHEQUE",
    "name": "Compte chèque",
    "balance": Decimal("7481.01"),
    "coming": Decimal("-55.30"),
    "last_update": "2026-03-10 13:00:00",
    "deleted": None,
    "disabled": None,
    "iban": "FR7630006000011234567890189",
    "bic": "AGRIFRPP",
    "currency": {"id": "EUR", "precision": 2},
    "type": "checking",
    "usage": "PRIV",
    "ownership": "owner",
}
CONNECTION: dict[str, Any] = {
    "id": 38,
    "connector_uuid": UUID,
    "connector": {"uuid": UUID, "name": "Banque Exemple"},
    "state": None,
    "created": "2026-01-01 13:00:00",
    "last_update": "2026-03-10 13:00:00",
    "next_try": "2026-03-11 05:00:00",
    "expire": "2026-07-01 14:00:00",
    "active": True,
    "sources": [{"id": 1, "name": "openapi", "state": None, "disabled": None}],
}


SECRET = "S3CRET"
# Values of every shape, wrong for nearly every field, each easy to find again.
secret_values = st.recursive(
    st.sampled_from([SECRET, f"x{SECRET}", [SECRET], {SECRET: SECRET}, -7654321, Decimal("7654321.5"), 0, "", None]),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.just(SECRET), children, max_size=2),
    max_leaves=4,
)


def tenant(**settings_: object) -> Tenant:
    users = [{"id": "jane", "token": "env:X"}]
    return Tenant.model_validate({"id": "smith", "domain": "smith-sandbox", "users": users} | settings_)


SMITH = tenant(client_id="12345678")


def account(**changes: object) -> Account:
    parsed = parse(Account, "smith", "jane", ACCOUNT | changes)
    assert isinstance(parsed, Account), parsed
    return parsed


def connection(**changes: object) -> Connection:
    parsed = parse(Connection, "smith", "jane", CONNECTION | changes)
    assert isinstance(parsed, Connection), parsed
    return parsed


def put_aside(kind: type[Account] | type[Connection], **changes: object) -> QuarantineRow:
    row = parse(kind, "smith", "jane", (ACCOUNT if kind is Account else CONNECTION) | changes)
    assert isinstance(row, QuarantineRow), row
    return row


def balance(**changes: object) -> BalanceRow | str | None:
    return balance_row(SMITH, account(**changes), "38", ACCOUNT | changes, NOW)


def balance_of(**changes: object) -> BalanceRow:
    row = balance(**changes)
    assert isinstance(row, BalanceRow), row
    return row


class TestIds:
    def test_an_account_always_keeps_its_canonical_id(self) -> None:
        # A literal: ledgers contain ids that were made this way.
        assert account_id(SMITH, "17") == "acc_822768ec4412dca625f8"

    def test_an_id_is_a_word_of_fixed_length_that_says_nothing(self) -> None:
        made = account_id(SMITH, "17")

        assert made.startswith("acc_")
        assert len(made) == 24
        assert int(made.removeprefix("acc_"), 16) >= 0

    def test_other_tenants_domains_and_accounts_have_other_ids(self) -> None:
        tenants = [SMITH, tenant(id="jones"), tenant(domain="smith")]

        assert len({account_id(one, source) for one in tenants for source in ("17", "18")}) == 6

    def test_the_base_url_does_not_change_an_id(self) -> None:
        assert account_id(tenant(base_url="http://127.0.0.1:1/2.0"), "17") == account_id(SMITH, "17")


class TestAccounts:
    def test_an_account_becomes_a_row_with_all_fields_of_powens(self) -> None:
        row = account_row(SMITH, "jane", account(), connection(), ACCOUNT, NOW)

        assert row.tenant_id == "smith"
        assert row.account_id == account_id(SMITH, "17")
        assert (row.user_id, row.connection_id, row.source_id) == ("jane", "38", "17")
        assert (row.institution_id, row.institution_name) == (UUID, "Banque Exemple")
        assert (row.account_type, row.currency, row.display_name) == ("checking", "EUR", "Compte chèque")
        assert (row.number, row.iban, row.bic) == ("3002900000", "FR7630006000011234567890189", "AGRIFRPP")
        assert (row.usage, row.ownership, row.parent_account_id) == ("PRIV", "owner", None)
        assert (row.disabled_at, row.deleted_at) == (None, None)
        assert row.provider_updated_at == account().last_update is not None
        assert row.payload_digest == digest(ACCOUNT)

    def test_an_account_that_was_never_enabled_has_a_row_too(self) -> None:
        nothing = dict.fromkeys(ACCOUNT)
        record = nothing | {"id": 17, "disabled": "2026-03-10 13:00:00"}

        row = account_row(SMITH, "jane", account(**record), connection(), record, NOW)

        assert row.display_name == "Account 17"
        assert row.account_type == "unknown"
        assert row.disabled_at == NOW
        assert (row.currency, row.number, row.iban, row.bic, row.usage, row.ownership) == (None,) * 6

    @pytest.mark.parametrize(
        ("names", "shown"),
        [
            ({"name": "Mine", "original_name": "CPTE"}, "Mine"),
            ({"name": None, "original_name": "CPTE"}, "CPTE"),
            ({"name": "", "original_name": ""}, "Account 17"),
        ],
    )
    def test_an_account_is_shown_by_its_best_available_name(self, names: dict[str, object], shown: str) -> None:
        assert account_row(SMITH, "jane", account(**names), connection(), {}, NOW).display_name == shown

    def test_a_card_points_to_the_account_that_it_belongs_to(self) -> None:
        row = account_row(SMITH, "jane", account(id=18, id_parent=17), connection(), {}, NOW)

        assert row.parent_account_id == account_id(SMITH, "17")

    def test_an_unknown_type_is_kept(self) -> None:
        assert (
            account_row(SMITH, "jane", account(type="piggy_bank"), connection(), {}, NOW).account_type == "piggy_bank"
        )

    # The documentation's table shows an object, live payloads a text: the list must be readable with both.
    def test_a_type_may_come_as_an_object_with_a_name(self) -> None:
        typed = account(type={"id": 2, "name": "checking", "id_parent": None})

        assert typed.type == "checking"
        assert put_aside(Account, type={"id": 2}).reason == "type: input should be a valid string"

    def test_moments_are_read_as_wall_time_in_paris(self) -> None:
        row = account_row(SMITH, "jane", account(deleted="2025-07-01 14:00:00"), connection(), {}, NOW)

        assert row.deleted_at == datetime(2025, 7, 1, 12, tzinfo=UTC)

    @pytest.mark.parametrize("name", ["disabled", "deleted"])
    @pytest.mark.parametrize("found", [*NO_DATES, True, "9999-12-31 23:59:59", "2026-03-12 00:00:00"], ids=repr)
    def test_a_hidden_account_stays_hidden_even_with_an_invalid_date(self, name: str, found: object) -> None:
        hidden = account(**{name: found})

        assert lacks_a_date(hidden, NOW)
        first = account_row(SMITH, "jane", hidden, connection(), {}, NOW)
        assert getattr(first, f"{name}_at") == NOW
        later = account_row(SMITH, "jane", hidden, connection(), {}, NOW + timedelta(hours=5), known=first)
        assert getattr(later, f"{name}_at") == NOW, "since it was first seen so"
        other = "deleted" if name == "disabled" else "disabled"
        assert getattr(later, f"{other}_at") is None

    @pytest.mark.parametrize("found", ["0000-00-00 00:00:00", "0000-00-00", False, None, "", 0], ids=repr)
    def test_a_date_of_zeros_means_that_an_account_is_not_hidden(self, found: object) -> None:
        row = account_row(SMITH, "jane", account(disabled=found, deleted=found), connection(), {}, NOW)

        assert (row.disabled_at, row.deleted_at, row.ended_by) == (None, None, None)

    def test_a_recorded_future_date_is_not_kept(self) -> None:
        hidden = account(disabled="9999-12-31 23:59:59")
        known = replace(account_row(SMITH, "jane", hidden, connection(), {}, NOW), disabled_at=LATEST)

        assert account_row(SMITH, "jane", hidden, connection(), {}, NOW, known).disabled_at == NOW

    @pytest.mark.parametrize("found", [None, False, 0, ""], ids=repr)
    def test_a_false_value_hides_no_account(self, found: object) -> None:
        row = account_row(SMITH, "jane", account(disabled=found, deleted=found), connection(), {}, NOW)

        assert (row.disabled_at, row.deleted_at) == (None, None)
        assert not lacks_a_date(account(disabled=found), NOW)

    def test_a_valid_date_is_used(self) -> None:
        found = account(disabled="2026-03-10 14:00:00", deleted="2026-03-11 12:59:59")
        row = account_row(SMITH, "jane", found, connection(), {}, NOW, known=None)

        assert not lacks_a_date(found, NOW)
        assert row.disabled_at == datetime(2026, 3, 10, 13, tzinfo=UTC)
        assert row.deleted_at == datetime(2026, 3, 11, 11, 59, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("changes", "institution"),
        [
            ({"connector": None}, (UUID, "unknown")),
            ({"connector_uuid": None}, (UUID, "Banque Exemple")),
            ({"connector_uuid": None, "connector": None}, ("unknown", "unknown")),
            ({"connector": {"name": None}}, (UUID, "unknown")),
        ],
    )
    def test_an_institution_is_named_as_far_as_it_is_known(
        self, changes: dict[str, object], institution: tuple[str, str]
    ) -> None:
        row = account_row(SMITH, "jane", account(), connection(**changes), {}, NOW)

        assert (row.institution_id, row.institution_name) == institution


class TestConnections:
    def test_a_healthy_connection_becomes_a_row_with_its_dates(self) -> None:
        row = connection_row(SMITH, "jane", connection(), CONNECTION, NOW)

        assert (row.tenant_id, row.connection_id, row.user_id) == ("smith", "38", "jane")
        assert (row.institution_id, row.institution_name) == (UUID, "Banque Exemple")
        assert (row.state, row.status, row.who_acts, row.remedy, row.link) == (None, "healthy", None, None, None)
        assert row.active
        assert row.created_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert row.last_success_at == NOW
        assert row.next_try_at == datetime(2026, 3, 11, 4, tzinfo=UTC)
        assert row.consent_expires_at == datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert row.payload_digest == digest(CONNECTION)

    def test_a_user_who_must_act_gets_a_link_without_a_code(self) -> None:
        row = connection_row(SMITH, "jane", connection(state="SCARequired"), {}, NOW)

        assert (row.status, row.who_acts) == ("needs-person", "member")
        assert row.link is not None
        assert "connection_id=38" in row.link
        assert "code=" not in row.link

    @pytest.mark.parametrize("state", ["bug", "rateLimiting", "notSupported", "neverHeardOf"])
    def test_only_a_user_who_can_act_gets_a_link(self, state: str) -> None:
        assert connection_row(SMITH, "jane", connection(state=state), {}, NOW).link is None

    def test_a_failing_source_decides_unless_it_is_disabled(self) -> None:
        failing = connection(sources=[{"state": "wrongpass"}])
        disabled = connection(sources=[{"state": "wrongpass", "disabled": "2026-03-01 00:00:00"}])

        assert situation(failing, NOW).state == "wrongpass"
        assert situation(disabled, NOW).is_synced

    @pytest.mark.parametrize(("since", "who"), [("2026-03-08 13:00:00", "powens"), ("2026-03-06 13:00:00", "operator")])
    def test_a_source_is_judged_by_its_own_last_success(self, since: str, who: str) -> None:
        failing = connection(sources=[{"state": "bug", "last_update": since, "next_try": "2026-03-11 05:00:00"}])

        assert (situation(failing, NOW).state, situation(failing, NOW).who_acts) == ("bug", who)

    def test_a_source_with_invalid_dates_quarantines_no_connection(self) -> None:
        failing = connection(sources=[{"state": "bug", "last_update": "yesterday", "next_try": 5}])

        assert situation(failing, NOW).who_acts == "powens"

    @pytest.mark.parametrize("name", ["created", "last_update", "next_try", "expire"])
    @pytest.mark.parametrize("found", ["0000-00-00 00:00:00", *NO_DATES], ids=repr)
    def test_an_invalid_date_is_none_and_quarantines_no_connection(self, name: str, found: object) -> None:
        row = connection_row(SMITH, "jane", connection(**{name: found}), {}, NOW)

        columns = {"created": "created_at", "last_update": "last_success_at", "next_try": "next_try_at"}
        assert getattr(row, columns.get(name, "consent_expires_at")) is None

    @pytest.mark.parametrize(("ahead", "is_kept"), [(timedelta(days=1), True), (timedelta(days=1, seconds=1), False)])
    def test_a_success_more_than_a_day_ahead_is_ignored(self, ahead: timedelta, is_kept: bool) -> None:
        row = connection_row(SMITH, "jane", connection(last_update=(NOW + ahead).isoformat()), {}, NOW)

        assert row.last_success_at == (NOW + ahead if is_kept else None)

    def test_a_consent_without_end_ends_at_the_latest_stored_date(self) -> None:
        never = "9999-12-31 23:59:59"
        row = connection_row(SMITH, "jane", connection(expire=never, next_try=never, last_update=never), {}, NOW)

        assert (row.consent_expires_at, row.next_try_at, row.last_success_at) == (LATEST, LATEST, None)

    @pytest.mark.parametrize(
        ("changes", "end"),
        [
            ({"sources": None}, "2026-07-01"),
            ({"sources": [{"access_expire": None}]}, "2026-07-01"),
            ({"sources": [{"access_expire": "2026-03-14 14:00:00"}]}, "2026-03-14"),
            (
                {"sources": [{"access_expire": "2026-06-01 14:00:00"}, {"access_expire": "2026-05-01 14:00:00"}]},
                "2026-05-01",
            ),
            (
                {
                    "sources": [
                        {"access_expire": "2026-06-01 14:00:00", "disabled": False},
                        {"access_expire": "2026-05-01 14:00:00", "disabled": "2026-03-01 12:00:00"},
                    ]
                },
                "2026-06-01",
            ),
            ({"expire": None, "sources": [{"access_expire": "2026-06-01 14:00:00"}]}, "2026-06-01"),
            ({"state": "webauthRequired", "expire": "2026-03-10 15:00:00", "sources": None}, None),
            (
                {
                    "state": "webauthRequired",
                    "expire": "2026-03-10 15:00:00",
                    "sources": [{"access_expire": "2026-06-01 14:00:00"}],
                },
                "2026-06-01",
            ),
            ({"state": "wrongpass", "sources": None}, "2026-07-01"),
        ],
    )
    def test_a_consent_ends_with_the_first_source_in_use_not_with_an_open_login(
        self, changes: dict[str, object], end: str | None
    ) -> None:
        row = connection_row(SMITH, "jane", connection(**changes), {}, NOW)

        assert (row.consent_expires_at and f"{row.consent_expires_at:%Y-%m-%d}") == end

    @pytest.mark.parametrize(
        ("record", "state"),
        [
            ({"id": 38, "error": "wrongpass"}, "wrongpass"),
            ({"id": 38, "error": "wrongpass", "state": None}, None),
            ({"id": 38, "error": "bug", "state": "wrongpass"}, "wrongpass"),
        ],
    )
    def test_a_state_with_only_its_old_name_is_read(self, record: dict[str, object], state: str | None) -> None:
        parsed = parse(Connection, "smith", "jane", record)

        assert isinstance(parsed, Connection)
        assert parsed.state == state

    def test_a_connection_with_the_fewest_fields_is_accepted(self) -> None:
        parsed = parse(Connection, "smith", "jane", {"id": 38})

        assert isinstance(parsed, Connection)
        assert connection_row(SMITH, "jane", parsed, {}, NOW).status == "silent"

    def test_a_message_of_the_bank_stays_out_of_the_row(self) -> None:
        record = CONNECTION | {"state": "webauthRequired", "error_message": "Redirecting to https://bank/?t=s3cret"}

        row = connection_row(SMITH, "jane", connection(**record), record, NOW)

        assert not any("s3cret" in str(getattr(row, field.name)) for field in fields(row))


class TestBalances:
    def test_a_balance_has_the_date_of_its_own_account(self) -> None:
        row = balance_of()

        assert (row.tenant_id, row.account_id, row.connection_id, row.source_id) == (
            "smith",
            account_id(SMITH, "17"),
            "38",
            "17",
        )
        assert row.as_of == NOW
        assert (row.currency, row.current_balance) == ("EUR", Decimal("7481.01"))
        assert row.payload_digest == digest(ACCOUNT)

    @pytest.mark.parametrize(
        ("amounts", "available", "basis"),
        [
            ({"coming": "-55.30", "coming_balance": "7000.5"}, Decimal("7000.5"), "coming_balance"),
            ({"coming": None, "coming_balance": "7000.5"}, Decimal("7000.5"), "coming_balance"),
            ({"coming": "0", "coming_balance": "0"}, Decimal(0), "coming_balance"),
            ({"coming": "-55.30"}, Decimal("7425.71"), "balance+coming"),
            ({"coming": "0"}, Decimal("7481.01"), "balance+coming"),
            ({"coming": None}, None, None),
        ],
    )
    def test_the_available_balance_is_derived_and_states_its_basis(
        self, amounts: dict[str, object], available: Decimal | None, basis: str | None
    ) -> None:
        row = balance_of(**amounts)

        assert (row.available_balance, row.available_basis) == (available, basis)

    def test_a_missing_balance_is_not_an_error(self) -> None:
        assert balance(balance=None) is None
        assert balance(balance=None, currency=None, last_update=None) is None

    def test_a_balance_of_zero_is_a_balance(self) -> None:
        assert balance_of(balance=0).current_balance == 0

    @pytest.mark.parametrize("name", ["currency", "last_update"])
    def test_a_balance_without_currency_or_date_cannot_be_stored(self, name: str) -> None:
        reason = balance(**{name: None})

        assert isinstance(reason, str)
        assert reason.startswith(f"{name}: missing beside a balance")

    @pytest.mark.parametrize(
        ("last_update", "reason"),
        [
            ("2031-05-01 00:00:00", "last_update: more than a day in the future"),
            ("1969-12-31 23:59:59", "last_update: before 1970"),
            ("0001-01-01 00:00:00", "last_update: before 1970"),
            ("9999-12-31 23:59:59", "last_update: more than a day in the future"),
        ],
    )
    def test_a_balance_with_an_impossible_date_is_reported(self, last_update: str, reason: str) -> None:
        assert balance(last_update=last_update) == reason

    @pytest.mark.parametrize("ahead", [timedelta(hours=20), timedelta(days=1)], ids=str)
    def test_a_clock_up_to_a_day_ahead_is_tolerated(self, ahead: timedelta) -> None:
        assert balance_of(last_update=(NOW + ahead).isoformat()).as_of == NOW + ahead

    @pytest.mark.parametrize("ahead", [timedelta(days=1, seconds=1), timedelta(days=2)], ids=str)
    def test_a_balance_more_than_a_day_ahead_is_quarantined(self, ahead: timedelta) -> None:
        found = (NOW + ahead).isoformat()

        assert balance(last_update=found) == "last_update: more than a day in the future"

    def test_the_start_of_1970_is_a_valid_balance_date(self) -> None:
        assert balance_of(last_update="1970-01-01T00:00:00+00:00").as_of == datetime(1970, 1, 1, tzinfo=UTC)
        assert balance(last_update="1969-12-31T23:59:59+00:00") == "last_update: before 1970"

    @pytest.mark.parametrize(
        "amount",
        [
            "999999999999999999.9999999999",
            "-999999999999999999.9999999999",
            "0.0000000001",
            "1E+17",
            "1.00000000000000000000000000000000000000",
            "-0.0",
        ],
    )
    def test_an_amount_as_text_is_stored_exactly_if_it_fits(self, amount: str) -> None:
        row = balance_of(balance=amount, coming=None)

        assert (row.current_balance, row.rounded_from) == (Decimal(amount), None)

    @pytest.mark.parametrize("amount", ["0.00000000001", "1e-999", "1234567890.12345678901", "83710.79999999999"])
    def test_an_amount_as_text_with_too_many_decimals_is_quarantined(self, amount: str) -> None:
        assert balance(balance=amount, coming=None) == "balance: does not fit DECIMAL(38,10) without rounding"

    @pytest.mark.parametrize("amount", ["1E+18", "-1E+18", "1e999", Decimal(10) ** 18, 10**18])
    def test_a_too_large_amount_is_quarantined(self, amount: object) -> None:
        assert balance(balance=amount, coming=None) == "balance: 10^18 or more"

    @pytest.mark.parametrize(
        ("currency", "sent", "kept"),
        [
            ("EUR", "83710.79999999999", "83710.80"),
            ("EUR", "0.30000000000000004", "0.30"),
            ("EUR", "-12.340000001", "-12.34"),
            ("EUR", "1.0000009999999", "1.00"),
            ("EUR", "2.9999990000001", "3.00"),
            ("JPY", "3300.0000001", "3300"),
            ("KWD", "1.2339999999999", "1.234"),
        ],
    )
    def test_float_noise_is_rounded_once_and_the_original_is_kept(self, currency: str, sent: str, kept: str) -> None:
        row = balance_of(balance=Decimal(sent), currency={"id": currency}, coming=None)

        assert (str(row.current_balance), row.rounded_from) == (kept, sent)

    @pytest.mark.parametrize("sent", ["83710.79999812345678", "1.00000100000001", "0.12345678901"])
    def test_a_number_further_from_a_cent_than_noise_is_quarantined(self, sent: str) -> None:
        reason = balance(balance=Decimal(sent), coming=None)

        assert reason == "balance: does not fit DECIMAL(38,10) without rounding"

    @pytest.mark.parametrize("sent", ["10.555", "10.0001", "10.12", "10"])
    def test_a_number_with_real_decimals_is_stored_unchanged(self, sent: str) -> None:
        row = balance_of(balance=Decimal(sent), coming=None)

        assert (row.current_balance, row.rounded_from) == (Decimal(sent), None)

    @pytest.mark.parametrize("is_number", [True, False])
    def test_a_coin_is_rounded_to_the_ledgers_decimals(self, is_number: bool) -> None:
        sent = "1.123456789012345678"
        currency = {"id": "ETH", "crypto": True}
        row = balance_of(balance=Decimal(sent) if is_number else sent, currency=currency, coming=None)

        assert (row.current_balance, row.rounded_from) == (Decimal("1.1234567890"), sent)

    @pytest.mark.parametrize("sent", [Decimal("0.00000003"), Decimal("1.1234567")])
    def test_a_coin_is_also_recognised_by_its_code(self, sent: Decimal) -> None:
        row = balance_of(balance=sent, currency={"id": "BTC"}, coming=None)

        assert (row.current_balance, row.rounded_from) == (sent, None)

    @pytest.mark.parametrize("name", ["id_parent", "id_connection"])
    def test_an_id_that_affects_totals_is_never_dropped(self, name: str) -> None:
        assert isinstance(parse(Account, "smith", "jane", ACCOUNT | {name: "seven"}), QuarantineRow)

    def test_a_source_with_two_disabled_values_quarantines_no_connection(self) -> None:
        record = {"id": 38, "sources": [{"disabled": ToldTwice(), "access_expire": "2026-05-01 14:00:00"}]}
        parsed = parse(Connection, "smith", "jane", record)

        assert isinstance(parsed, Connection)
        row = connection_row(SMITH, "jane", parsed, {}, NOW)
        assert row.consent_expires_at is not None

    @pytest.mark.parametrize(
        "announced",
        [{"coming_balance": "1E+28"}, {"coming": "0.00000000001"}, {"coming": "1e-999"}, {"coming": "soon"}],
    )
    def test_an_announced_amount_that_does_not_fit_keeps_the_booked_balance(self, announced: dict[str, object]) -> None:
        row = balance_of(**announced)

        assert (row.current_balance, row.available_balance, row.available_basis) == (Decimal("7481.01"), None, None)

    # Python's decimal arithmetic rounds to 28 digits by default.
    @steady
    @given(
        st.decimals(min_value=-(10**17), max_value=10**17, places=10),
        st.decimals(min_value=-(10**17), max_value=10**17, places=10),
    )
    def test_any_sum_is_exact(self, booked: Decimal, coming: Decimal) -> None:
        row = balance_of(balance=str(booked), coming=str(coming))

        assert row.available_balance is not None
        assert Fraction(row.available_balance) == Fraction(booked) + Fraction(coming)

    def test_numbers_may_come_as_text(self) -> None:
        row = balance_of(balance="7481.01", coming="-55.30")

        assert (row.current_balance, row.available_balance) == (Decimal("7481.01"), Decimal("7425.71"))

    @pytest.mark.parametrize(
        ("balance", "reason"),
        [
            ("a lot", "not a number"),
            (True, "not a number"),
            (ToldTwice(), "not a number"),
            ({}, "not a number"),
            (Decimal("NaN"), "not a finite number"),
            (Decimal("1e99999999"), "not of a size that an amount has"),
        ],
    )
    def test_an_unreadable_balance_loses_only_the_balance(self, balance: object, reason: str) -> None:
        kept = account(balance=balance)

        assert kept.iban == ACCOUNT["iban"]
        assert balance_row(SMITH, kept, "38", ACCOUNT | {"balance": balance}, NOW) == f"balance: {reason}"


class TestQuarantine:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"last_update": "yesterday"}, "last_update: not a date"),
            ({"disabled": ToldTwice()}, "disabled: told twice"),
            ({"currency": {}}, "currency.id: field required"),
            ({"iban": 5}, "iban: input should be a valid string"),
            ({"type": ["checking"]}, "type: input should be a valid string"),
            ({"id_connection": "38"}, "id_connection: not a positive integer"),
        ],
    )
    def test_an_invalid_account_is_quarantined_with_its_field_and_rule(
        self, changes: dict[str, object], reason: str
    ) -> None:
        row = put_aside(Account, **changes)

        assert (row.record, row.source_id, row.reason) == ("account", "17", reason)
        assert row.payload_digest == digest(ACCOUNT | changes)

    def test_an_invalid_connection_is_quarantined_as_a_connection(self) -> None:
        row = put_aside(Connection, connector_uuid=7, sources=[{"state": 5}])

        assert (row.record, row.source_id) == ("connection", "38")
        assert row.reason == (
            "connector_uuid: input should be a valid string; sources.state: input should be a valid string"
        )

    @pytest.mark.parametrize("value", ["perhaps", 5, {}, [True], "\ud83d", ToldTwice()])
    def test_a_connection_with_an_unreadable_active_flag_counts_as_active(self, value: object) -> None:
        record = CONNECTION | {"active": value}
        kept = parse(Connection, "smith", "jane", record)

        assert isinstance(kept, Connection)
        assert situation(kept, NOW).status == "healthy"
        assert ("connection.active", "(neither true nor false)") in unread_fields(kept, record)

    def test_every_broken_rule_is_reported_once_and_in_order(self) -> None:
        row = put_aside(Connection, sources=[{"state": 1}, {"state": 2}], state=7, connector_uuid=1)

        assert row.reason == (
            "connector_uuid: input should be a valid string; "
            "sources.state: input should be a valid string; "
            "state: input should be a valid string"
        )

    # A lone surrogate is legal JSON; it once reached Arrow, which fails the whole batch on it.
    @pytest.mark.parametrize("changes", [{"number": "\ud83d"}, {"iban": "FR76\ud83d"}, {"type": {"name": "\udfff"}}])
    def test_a_lone_surrogate_quarantines_its_record(self, changes: dict[str, object]) -> None:
        (field,) = changes
        assert put_aside(Account, **changes).reason.startswith(field)
        assert put_aside(Account, **changes).reason.endswith(": not unicode text")

    @pytest.mark.parametrize("field", ["bic", "name", "original_name", "usage", "ownership", "error"])
    @pytest.mark.parametrize("value", [5, {}, ["x"], True, "\ud83d", ToldTwice()])
    def test_an_invalid_informational_text_quarantines_no_record(self, field: str, value: object) -> None:
        kept = account(**{field: value})

        assert getattr(kept, field) is None
        assert (f"account.{field}", "(no text)") in unread_fields(kept, ACCOUNT | {field: value})

    def test_a_whole_character_of_any_plane_is_text(self) -> None:
        assert account(name="💶 銀行").name == "💶 銀行"

    @pytest.mark.parametrize("source_id", [None, "seven", True, 1.5, Decimal("1.0"), {}])
    def test_an_id_that_is_not_a_number_is_not_repeated(self, source_id: object) -> None:
        row = put_aside(Account, id=source_id)

        assert row.source_id is None
        assert row.reason == "id: not a positive integer"

    @pytest.mark.parametrize("source_id", [0, -1])
    def test_a_number_that_is_not_an_id_is_repeated(self, source_id: int) -> None:
        assert put_aside(Account, id=source_id).source_id == str(source_id)

    def test_a_record_without_an_id_is_quarantined(self) -> None:
        row = parse(Account, "smith", "jane", {})

        assert isinstance(row, QuarantineRow)
        assert (row.source_id, row.reason) == (None, "id: field required")

    def test_a_reason_given_by_others_is_kept_with_the_records_digest(self) -> None:
        assert quarantined("smith", "jane", "balance", ACCOUNT, "no") == QuarantineRow(
            "smith", "balance", "17", "no", digest(ACCOUNT), "jane", "38", None, "open"
        )

    @pytest.mark.parametrize(
        ("connector", "name"),
        [({"name": "Bank"}, "Bank"), ({"name": 5}, None), ("Bank", None), ({"name": "\ud83d"}, None), (None, None)],
    )
    def test_a_quarantined_connection_names_its_bank_if_known(self, connector: object, name: str | None) -> None:
        row = put_aside(Connection, state=7, connector=connector)

        assert (row.connection_id, row.user_id, row.institution_name) == ("38", "jane", name)

    @pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200), (5_000_000, 200)])
    def test_a_long_text_is_cut_and_marked(self, length: int, kept: int) -> None:
        name = account(name="n" * length).name

        assert name is not None
        assert len(name) == kept
        assert name.endswith("…") is (length > 200)

    @steady
    @given(st.dictionaries(st.sampled_from(sorted(Account.model_fields)), secret_values, min_size=1))
    def test_a_reason_never_contains_a_value_of_an_account(self, changes: dict[str, object]) -> None:
        row = parse(Account, "smith", "jane", ACCOUNT | changes)

        if isinstance(row, QuarantineRow):
            assert "s3cret" not in row.reason.lower()
            assert "7654321" not in row.reason

    @steady
    @given(st.dictionaries(st.sampled_from(sorted(Connection.model_fields)), secret_values, min_size=1))
    def test_a_reason_never_contains_a_value_of_a_connection(self, changes: dict[str, object]) -> None:
        row = parse(Connection, "smith", "jane", CONNECTION | changes)

        if isinstance(row, QuarantineRow):
            assert "s3cret" not in row.reason.lower()
            assert "7654321" not in row.reason


@pytest.mark.parametrize("code", ["", "E", "EUR ", "[/red]", "FR7630006000011234567890189", "€UR"])
def test_an_invalid_currency_code_is_quarantined(code: str) -> None:
    assert put_aside(Account, currency={"id": code}).reason == "currency.id: not a currency code"
