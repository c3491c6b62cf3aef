"""A moment on the command line means the same for every command."""

from datetime import UTC, date, datetime

import click
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.options import Moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-31", date(2026, 3, 31)),
        ("2026-03-31T18:00", datetime(2026, 3, 31, 18, 0, tzinfo=UTC)),
        ("2026-03-31 18:00:05.25+02:00", datetime(2026, 3, 31, 16, 0, 5, 250_000, tzinfo=UTC)),
        ("2026-03-31T18:00:00Z", datetime(2026, 3, 31, 18, 0, tzinfo=UTC)),
        ("9999-12-31", date(9999, 12, 31)),
    ],
)
def test_a_date_stays_one_and_no_zone_means_utc(text: str, moment: date) -> None:
    found = Moment().convert(text, None, None)

    assert (type(found), found) == (type(moment), moment)


@pytest.mark.parametrize("text", ["", "now", "31.3.2026", "2026-13-01", "2026-03-31T25:00", "0001-01-01T00:00+14:00"])
def test_any_other_text_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a valid date or time"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize("option", ["--as-of", "--known-at"])
@pytest.mark.parametrize(
    "words", [("accounts",), ("balances",), ("export", "--tenant", "smith", "--to", "out")], ids=lambda words: words[0]
)
def test_a_wrong_moment_is_a_wrong_word_of_the_command_line(words: tuple[str, ...], option: str) -> None:
    result = CliRunner().invoke(main, [*words, option, "yesterday"])

    assert result.exit_code == 2
    assert (
        f"Invalid value for '{option}': 'yesterday' is not a valid date or time. Give a date such as" in result.stderr
    )
