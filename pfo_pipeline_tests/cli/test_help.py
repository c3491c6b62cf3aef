"""Each command's help is whole: under a heading, with one help text for one option, and with examples that work."""

import shlex
from collections import defaultdict
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pfo_pipeline.cli import main
from pfo_pipeline.cli.app import HEADINGS, commands_of
from pfo_pipeline_tests.defs.office import DAGSTERS_OWN_WARNING

COMMANDS = dict(commands_of(main))


def examples_of(command: click.Command) -> list[str]:
    first, *lines = (command.epilog or "").removeprefix("\b\n").splitlines()
    assert first == "Examples:"
    return [line.strip() for line in lines]


EXAMPLES = sorted({line for command in (main, *COMMANDS.values()) for line in examples_of(command)})

PARSED_ALONE = {
    # The demonstration's fixture has run the first; the others differ in what they name.
    "pfo run",
    "pfo run --tenant martin",
    "pfo run --tenant martin --connection 4821 --force",
    # They serve until they are ended.
    "pfo dev",
    "pfo dev --port 3001",
    "pfo simulator",
    "pfo simulator --world empty --port 8700",
    "pfo webhooks serve",
    "pfo webhooks serve --host 127.0.0.1 --port 8711",
    # They need a Powens domain, or a configuration. Their own tests have both.
    "pfo connect --tenant smith --member jane",
    "pfo connect --tenant smith --member jane --open",
    "pfo reconnect --tenant smith --connection 4822",
    "pfo reconnect --tenant smith --connection 4822 --no-wait",
    "pfo disconnect --tenant smith --member jane",
    "pfo disconnect --tenant smith --member jane --connection 4822",
    "pfo disconnect --tenant smith --member jane --erase",
    "pfo connections enable --tenant smith --account acc_7fdc91d088e3100ef153",
    "pfo webhooks register --tenant smith --url https://hooks.office.example",
    "pfo alerts check",
    "pfo alerts test",
    "pfo config check",
    "pfo rekey",
    "pfo rekey --old-key file:secrets/old_key",
    "pfo restore --from backups/pfo-smith-2026-11-05T120000Z",
}
ANSWERED = {"pfo erase --tenant martin --member claire": "y\n"}
"""What asks, with what is answered."""
PRECEDED = {
    "pfo identity join --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9": (
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25"
    ),
    "pfo identity undo --tenant martin acc_f040f667820e4d7f0d25 acc_5c32a79d53526cf67bd9": (
        "pfo identity split --tenant martin acc_f040f667820e4d7f0d25"
    ),
}
"""What is done before, so that there is something to do."""


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_one_to_three_examples_of_its_own(path: str) -> None:
    found = examples_of(COMMANDS[path])

    assert 1 <= len(found) <= 3
    assert all(line.startswith(f"pfo {path}") for line in found)
    shown = CliRunner().invoke(main, [*path.split(), "--help"], terminal_width=200).stdout
    indent = "" if path == "simulator" else "  "  # Its help is its own program's.
    assert f"\n{indent}Examples:\n" + "".join(f"{indent}  {line}\n" for line in found) in shown


def words_of(line: str) -> list[str]:
    program, *words = shlex.split(line)
    assert program == "pfo"
    return words


@pytest.mark.parametrize("line", sorted(PARSED_ALONE))
def test_an_example_that_cannot_run_here_has_right_words(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert line in EXAMPLES
    monkeypatch.setattr(click.Command, "invoke", lambda command, _: command.name)

    result = CliRunner().invoke(main, words_of(line))

    assert result.exit_code == 0, result.output


@pytest.mark.filterwarnings(DAGSTERS_OWN_WARNING)
@pytest.mark.parametrize("line", [line for line in EXAMPLES if line not in PARSED_ALONE])
def test_an_example_does_what_it_says(line: str, demo_folder: Path) -> None:
    before = PRECEDED.get(line)
    if before:
        assert CliRunner().invoke(main, words_of(before)).exit_code == 0

    result = CliRunner().invoke(main, words_of(line), input=ANSWERED.get(line))

    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    # No daemon of the demonstration is at work, and no backup was ever made.
    assert result.exit_code == (2 if line.startswith("pfo health") else 0), result.output
    assert result.stdout.strip()


def test_every_command_is_shown_under_a_heading() -> None:
    shown = [name for entries in HEADINGS.values() for name, _, _ in entries]

    assert sorted(shown) == sorted(main.commands)
    text = CliRunner().invoke(main, ["--help"]).stdout
    assert all(f"\n{heading}:\n" in text for heading in HEADINGS)
    assert "..." not in text.partition("Options:")[2]  # No sentence is cut short.


@pytest.mark.parametrize(("name", "short_help"), [(n, h) for entries in HEADINGS.values() for n, _, h in entries])
def test_the_list_of_commands_has_each_commands_own_name_and_short_help(name: str, short_help: str) -> None:
    command = COMMANDS[name]

    assert (command.name, command.get_short_help_str(200)) == (name, short_help)


def test_an_option_is_one_thing_wherever_it_is_taken() -> None:
    """The same metavar for the same name; and what means the same has one name."""
    metavars = defaultdict(set)
    for command in COMMANDS.values():
        for option in (p for p in command.params if isinstance(p, click.Option)):
            metavars[option.opts[0]].add(option.metavar)
            assert option.help or isinstance(option.type, click.Choice), (command.name, option.name)

    assert {name: found for name, found in metavars.items() if len(found) > 1} == {}
    assert "--user" not in metavars


@pytest.mark.parametrize("path", ["accounts", "balances", "status", "connections", "identity", "alerts"])
def test_what_reads_has_tenants_and_forms(path: str) -> None:
    assert {"--tenant", "--json", "--csv"} <= {name for p in COMMANDS[path].params for name in p.opts}


def test_an_option_of_other_commands_is_told_with_them() -> None:
    printed = CliRunner().invoke(main, ["verify", "--as-of", "2026-03-31"])

    assert printed.exit_code == 2
    assert "No such option '--as-of'. These take it: " in printed.stderr
    assert "pfo balances, pfo accounts" in printed.stderr
