"""From bytes to values: no digit is lost, no time is shifted, and no invalid input is accepted or causes a crash."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pfo_pipeline.powens.values import EARLIEST, LATEST, MAX_DEPTH, digest, parse_json, to_amount, to_utc

steady = settings(derandomize=True, deadline=None)
PARIS = ZoneInfo("Europe/Paris")

digits = st.text("0123456789", min_size=1, max_size=40)
whole_parts = st.from_regex(r"(0|[1-9][0-9]{0,30})", fullmatch=True)
exponents = st.from_regex(r"[eE][+-]?[0-9]{1,2}", fullmatch=True)


@st.composite
def numbers_with_a_point_or_exponent(draw: st.DrawFn) -> str:
    """A JSON number that is not a plain integer, as the grammar allows it."""
    sign = draw(st.sampled_from(["", "-"]))
    fraction = draw(st.one_of(st.just(""), digits.map(lambda text: f".{text}")))
    exponent = draw(exponents) if not fraction else draw(st.one_of(st.just(""), exponents))
    return f"{sign}{draw(whole_parts)}{fraction}{exponent}"


def parsed(number: str) -> Any:
    return parse_json(b'{"balance": ' + number.encode("utf-8") + b"}")["balance"]


def same_to_the_last_digit(one: Decimal, other: Decimal) -> bool:
    return one.as_tuple() == other.as_tuple()


class TestJson:
    @steady
    @given(numbers_with_a_point_or_exponent())
    @example("123456789012345.67")
    @example("0.1")
    @example("1E+3")
    @example("1e-8")
    @example("-0.0")
    def test_a_number_with_a_point_loses_no_digit(self, number: str) -> None:
        value = parsed(number)

        assert isinstance(value, Decimal)
        assert same_to_the_last_digit(value, Decimal(number))

    @steady
    @given(st.integers())
    def test_a_number_without_a_point_stays_whole(self, number: int) -> None:
        value = parsed(str(number))

        assert type(value) is int
        assert value == number

    @pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
    def test_nan_and_infinity_are_read_and_are_not_amounts(self, constant: str) -> None:
        value = parsed(constant)

        assert isinstance(value, Decimal)
        with pytest.raises(ValueError, match="not a finite number"):
            to_amount(value)
        assert digest({"balance": value}) != digest({"balance": None})

    @pytest.mark.parametrize("number", ["1" * 201, "1" * 10_000, "0." + "1" * 200, "-" + "9" * 200])
    def test_a_too_long_number_is_read_and_is_not_an_amount(self, number: str) -> None:
        with pytest.raises(ValueError, match="not a finite number"):
            to_amount(parsed(number))

    def test_a_number_of_200_characters_is_read(self) -> None:
        assert parsed("1" * 200) == int("1" * 200)

    @pytest.mark.parametrize("number", ["1e9999999999999999999", "1e-9999999999999999999", "0e9999999999999999999"])
    def test_an_impossible_exponent_is_read_and_is_not_an_amount(self, number: str) -> None:
        with pytest.raises(ValueError, match="not a finite number"):
            to_amount(parsed(number))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe",
            b'{"a": "\xe9"}',
            b"<html></html>",
            b'{"a": 1',
            b"{} {}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
        ],
        ids=["empty", "not UTF-8", "latin-1", "HTML", "cut", "two", "nested list", "nested object"],
    )
    def test_invalid_json_is_a_value_error(self, body: bytes) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            parse_json(body)

    @pytest.mark.parametrize("text", ['"[[["', r'"\"[[["', r'"\\\\"', r'"[\\\"[["'])
    def test_only_brackets_outside_a_string_count_as_nesting(self, text: str) -> None:
        room = MAX_DEPTH - 1
        within = ("[" * room + f'{{"a": {text}}}' + "]" * room).encode()

        assert parse_json(within)
        with pytest.raises(ValueError, match="nested deeper than 100"):
            parse_json(b"[" + within + b"]")

    def test_a_key_with_two_different_values_has_neither(self) -> None:
        record = parse_json(b'{"id": 1, "balance": 1.5, "balance": 2.5, "name": "x", "name": "x"}')

        assert (record["id"], record["name"], str(record["balance"])) == (1, "x", "told twice")
        with pytest.raises(ValueError, match="not a number"):
            to_amount(record["balance"])
        assert len(digest(record)) == 64

    @steady
    @given(st.binary())
    def test_any_bytes_are_json_or_a_value_error(self, body: bytes) -> None:
        try:
            parse_json(body)
        except ValueError:
            return

    def test_text_of_any_language_is_kept(self) -> None:
        assert parse_json('{"name": "Société Générale – 銀行"}'.encode()) == {"name": "Société Générale – 銀行"}


class TestAmounts:
    @steady
    @given(numbers_with_a_point_or_exponent())
    @example("123456789012345.67")
    def test_an_amount_is_the_same_as_number_and_as_text(self, number: str) -> None:
        assert same_to_the_last_digit(to_amount(number), to_amount(parsed(number)))

    @steady
    @given(st.integers(min_value=-(10**198), max_value=10**198))
    def test_a_whole_number_is_an_amount(self, number: int) -> None:
        assert to_amount(number) == to_amount(str(number)) == Decimal(number)

    @pytest.mark.parametrize("text", ["+3", ".5", "5.", "007.10", "-0.00"])
    def test_a_number_as_text_may_be_written_loosely(self, text: str) -> None:
        assert to_amount(text) == Decimal(text)

    @pytest.mark.parametrize(
        "value",
        [
            True,
            False,
            None,
            1.5,
            [],
            {},
            b"1",
            "",
            " 1",
            "1\n",
            "1 000",
            "1,5",
            "1_000",
            "0x10",
            "1e",
            "1e9999",
            "NaN",
            "sNaN",
            "Infinity",
            "-inf",
            "12 €",
            "１２",
            "٣",
            "1" * 201,
        ],
        ids=repr,
    )
    def test_a_value_that_is_not_a_number_is_not_an_amount(self, value: object) -> None:
        with pytest.raises(ValueError, match="not a number"):
            to_amount(value)

    @pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
    def test_a_decimal_that_is_not_finite_is_not_an_amount(self, value: str) -> None:
        with pytest.raises(ValueError, match="not a finite number"):
            to_amount(Decimal(value))

    # Exact arithmetic with these overflowed, or rounded them to zero.
    @pytest.mark.parametrize("number", ["1e1000", "1e99999999", "1e-1000", "1e-99999999", "0e-99999999"])
    def test_a_number_far_beyond_any_amount_is_not_an_amount(self, number: str) -> None:
        with pytest.raises(ValueError, match="not of a size that an amount has"):
            to_amount(parsed(number))

    def test_no_message_contains_the_value(self) -> None:
        for value in ("5210.33 EUR", Decimal("Infinity"), Decimal("5210e5210")):
            with pytest.raises(ValueError, match=r"^not ") as refused:
                to_amount(value)
            assert "5210" not in str(refused.value)


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-01-15 13:00:00", "2026-01-15T12:00:00Z"),
            ("2026-07-15 13:00:00", "2026-07-15T11:00:00Z"),
            ("2026-07-15T13:00:00", "2026-07-15T11:00:00Z"),
            ("2026-01-01 00:30:00", "2025-12-31T23:30:00Z"),
            ("2026-01-15", "2026-01-14T23:00:00Z"),
            ("2026-01-15 13:00:00.250", "2026-01-15T12:00:00.250Z"),
        ],
    )
    def test_a_moment_without_an_offset_is_wall_time_in_paris(self, text: str, moment: str) -> None:
        assert to_utc(text) == datetime.fromisoformat(moment)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-03-29 01:59:59", "2026-03-29T00:59:59Z"),
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
            ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z"),
        ],
        ids=["before", "skipped", "after"],
    )
    def test_on_the_day_that_loses_an_hour(self, text: str, moment: str) -> None:
        assert to_utc(text) == datetime.fromisoformat(moment)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
            ("2026-10-25 02:30:00+02:00", "2026-10-25T00:30:00Z"),
            ("2026-10-25 02:30:00+01:00", "2026-10-25T01:30:00Z"),
            ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z"),
        ],
        ids=["before", "twice, taken as the first", "the first, said", "the second, said", "after"],
    )
    def test_on_the_day_that_has_an_hour_twice(self, text: str, moment: str) -> None:
        assert to_utc(text) == datetime.fromisoformat(moment)

    @pytest.mark.parametrize(
        "text",
        ["2026-03-10 13:00:00+01:00", "2026-03-10T12:00:00Z", "2026-03-10T07:00:00-0500", "2026-03-10 12:00:00+00:00"],
    )
    def test_an_offset_is_used_as_given(self, text: str) -> None:
        assert to_utc(text) == datetime(2026, 3, 10, 12, tzinfo=UTC)

    @steady
    @given(st.datetimes(min_value=datetime(1975, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
    def test_any_moment_written_in_paris_is_read_back(self, wall: datetime) -> None:
        moment = wall.replace(tzinfo=UTC)
        in_paris = moment.astimezone(PARIS)
        assume(in_paris.fold == 0)

        read = to_utc(in_paris.replace(tzinfo=None).isoformat(" "))

        assert read == moment
        assert read.tzinfo is UTC

    @steady
    @given(
        st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
        st.integers(min_value=-14 * 60, max_value=14 * 60),
    )
    def test_any_moment_with_an_offset_is_read_back(self, wall: datetime, minutes: int) -> None:
        moment = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))

        assert to_utc(moment.isoformat()) == moment

    @pytest.mark.parametrize(
        "value",
        [
            None,
            0,
            1773144000,
            True,
            "",
            "soon",
            "10/03/2026",
            "0000-00-00 00:00:00",
            "2026-02-30 00:00:00",
            "2026-03-10 25:00:00",
        ],
        ids=repr,
    )
    def test_an_invalid_date_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match=r"^not a date$"):
            to_utc(value)

    @pytest.mark.parametrize(
        ("text", "bound"),
        [
            *((text, EARLIEST) for text in ("0001-01-01 00:00:00", "0001-01-01 00:00:00+14:00", "1899-12-31 23:59:59")),
            ("1900-01-01 00:00:00+14:00", EARLIEST),
            ("8999-12-31 00:00:00-01:00", LATEST),
            *((text, LATEST) for text in ("9000-01-01 00:00:00", "9999-12-31 23:59:59", "9999-12-31 23:59:59-14:00")),
        ],
    )
    def test_a_date_beyond_the_bounds_is_the_bound(self, text: str, bound: datetime) -> None:
        assert to_utc(text) == bound

    def test_the_bounds_leave_room_for_every_time_zone_and_arithmetic(self) -> None:
        for zone in available_timezones():
            for bound in (EARLIEST, LATEST):
                for days in (-36_000, 36_000):
                    assert (bound.astimezone(ZoneInfo(zone)) + timedelta(days=days)).astimezone(UTC)

    @steady
    @given(st.text())
    def test_any_text_is_a_moment_or_a_value_error(self, text: str) -> None:
        try:
            moment = to_utc(text)
        except ValueError:
            return
        assert moment.tzinfo is UTC


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | numbers_with_a_point_or_exponent().map(Decimal),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


def with_keys_reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_keys_reversed(value[key]) for key in reversed(value)}
    return [with_keys_reversed(item) for item in value] if isinstance(value, list) else value


class TestDigest:
    @steady
    @given(json_values)
    def test_the_order_of_keys_does_not_matter(self, value: Any) -> None:
        assert digest(with_keys_reversed(value)) == digest(value)

    def test_a_change_anywhere_makes_another_digest(self) -> None:
        record = {"id": 1, "balance": Decimal("1.0"), "currency": {"id": "EUR"}, "tags": ["a", "b"]}
        changed: list[dict[str, Any]] = [
            record | {"id": 2},
            record | {"balance": Decimal("1.1")},
            record | {"currency": {"id": "USD"}},
            record | {"tags": ["b", "a"]},
            record | {"new": None},
        ]

        assert len({digest(value) for value in [record, *changed]}) == 6

    def test_numbers_count_as_they_were_written(self) -> None:
        assert digest({"balance": Decimal("1.0")}) != digest({"balance": Decimal("1.00")})

    def test_a_digest_is_the_sha256_of_the_canonical_text(self) -> None:
        # printf '{"a":1,"é":null}' | sha256sum
        assert digest({"é": None, "a": 1}) == "821dcba40aad4ab5a2d27064bd0efbd276edd8a703c4e6c4d4643e20e8d52494"

    def test_a_lone_surrogate_has_a_digest(self) -> None:
        assert len(digest(json.loads('{"name": "\\ud83d"}'))) == 64
