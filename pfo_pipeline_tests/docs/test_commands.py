"""Every command on a page is valid: the program parses it, without running it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pfo_pipeline.cli import main
from pfo_pipeline_tests.docs.pages import PAGES, PROJECT, blocks, code_words, read

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
_OURS = re.compile(r"^(?:\.venv/bin/)?pfo (?=[a-z-])")


def shown(page: Path) -> list[list[str]]:
    """The words of each of our commands in a block."""
    lines = [line for language in ("", "sh") for block in blocks(page, language) for line in block.splitlines()]
    return [shlex.split(_OURS.sub("", line), comments=True) for line in lines if _OURS.match(line)]


def mentioned(page: Path) -> list[list[str]]:
    """The words of each of our commands in a sentence, perhaps without required arguments."""
    return [shlex.split(_OURS.sub("", word)) for word in code_words(page) if _OURS.match(word)]


def found(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """The command of these words, and the remaining words. Raises: click.UsageError: there is none."""
    command: click.Command = main
    context = click.Context(main, info_name="pfo")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, step, words = command.resolve_command(context, words)
        assert step is not None
        command, context = step, click.Context(step, info_name=name, parent=context)
    return command, context, words


def options(command: click.Command, context: click.Context) -> set[str]:
    return {option for parameter in command.get_params(context) for option in parameter.opts}


def unknown_options(words: list[str]) -> Iterator[str]:
    command, context, rest = found(words)
    if not command.context_settings.get("ignore_unknown_options"):  # The simulator's own program parses its options.
        known = options(command, context)
        yield from (word for word in rest if word.startswith("-") and word.partition("=")[0] not in known)


@each_page
def test_every_command_in_a_block_is_valid(page: Path) -> None:
    for words in shown(page):
        command, context, rest = found(words)
        answers = ["--yes"] if "--yes" in options(command, context) else []
        command.make_context(context.info_name, [*rest, *answers], parent=context.parent)


@each_page
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    for words in mentioned(page):
        assert list(unknown_options(words)) == [], words


@each_page
def test_every_target_of_make_is_in_the_makefile(page: Path) -> None:
    makefile = read(PROJECT / "Makefile")
    lines = [line for language in ("", "sh") for block in blocks(page, language) for line in block.splitlines()]
    for text in [*lines, *code_words(page)]:
        if text.startswith("make "):
            targets = [word for word in text.split()[1:] if "=" not in word and not word.startswith(("-", "/"))]
            assert [target for target in targets if f"\n{target}:" not in makefile] == [], text


def test_commands_are_found_and_a_wrong_one_is_noticed() -> None:
    assert sum(len(shown(page)) for page in PAGES) > 30
    assert sum(len(mentioned(page)) for page in PAGES) > 40
    assert list(unknown_options(["run", "--tenants", "martin"])) == ["--tenants"]
    with pytest.raises(click.UsageError):
        found(["runn"])
