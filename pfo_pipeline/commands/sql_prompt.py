"""`pfo sql` on a terminal: SQL typed and answered, one statement after the other, until Ctrl-D.

Each statement opens the published ledger anew and lets go of it: the pipeline never waits for who thinks at a prompt, and the
next statement sees what was published meanwhile. Answers go to standard output, everything else to standard error. Not here:
what a query may reach (sql.py).
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click
import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.utils import is_dumb_terminal
from pygments.lexers.sql import PostgresLexer  # type: ignore[import-untyped]

from pfo_pipeline.commands.place import Place
from pfo_pipeline.commands.queries import show
from pfo_pipeline.commands.sql import print_answer, run_sql, shows_all
from pfo_pipeline.commands.sql_catalog import Catalog, Relation, read_catalog
from pfo_pipeline.commands.sql_completion import COMMANDS, SqlCompleter
from pfo_pipeline.commands.terminal import console, visible_lines
from pfo_pipeline.errors import PfoError


class _Prompt:
    def __init__(self, place: Place, tenant_id: str | None, form: str | None, catalog: Catalog) -> None:
        self._place = place
        self._tenant_id = tenant_id
        self._form = form
        self._catalog = catalog
        self._loaded_at: datetime | None = None

    def answer(self, text: str) -> None:
        """Answer one statement after the other, up to the first that fails."""
        try:
            for statement in _statements(text):
                answer = run_sql(self._place, statement, self._tenant_id, whole=shows_all(self._form))
                self._tell_which(answer.loaded_at)
                print_answer(answer, self._form)
        except PfoError as error:
            _say(f"{type(error).__name__}: {error}")
        except KeyboardInterrupt:
            _say("Interrupted.")

    def _tell_which(self, loaded_at: datetime | None) -> None:
        if loaded_at is not None and loaded_at != self._loaded_at:
            which = "The ledger has changed: it is" if self._loaded_at else "The ledger"
            _say(f"{which} as loaded at {loaded_at:%F %T} UTC.")
            self._loaded_at = loaded_at

    def obey(self, text: str) -> None:
        """A command that begins with a dot."""
        match text.rstrip(" ;").split():
            case [".help"]:
                _say("\n".join(f"{name:<10} {meaning}" for name, meaning in COMMANDS.items()))
                _say(
                    "SQL ends with ; and may be of several lines. Tab completes; Ctrl-C drops the line, or ends a query."
                )
            case [".tables"]:
                columns = ["name", "kind", "holds"]
                relations = self._catalog.relations.values()
                rows = [dict(zip(columns, (r.called, r.kind, r.comment), strict=True)) for r in relations]
                show(console(stderr=True), columns, rows)
            case [".describe", name] if relation := self._catalog.relations.get(name.lower().partition("(")[0]):
                _describe(relation)
            case [".describe", name]:
                _say(f"The ledger has no {name}. What it has: .tables")
            case [".describe", *_]:
                _say("Name one table, view or macro, such as: .describe positions")
            case [command, *_]:
                _say(f"There is no command {command}. There are: {', '.join(COMMANDS)}.")


def prompt_for_sql(
    place: Place,
    tenant_id: str | None,
    form: str | None,
    *,
    terminal: Input | None = None,
    screen: Output | None = None,
) -> None:
    """Ask and answer until the person ends it.

    Args:
        form: How every answer is written: json, csv, or as a table.
        terminal: Where it is typed; None: standard input.
        screen: Where it is edited; None: standard output, or where that is no terminal standard error.
    Raises: LedgerError: the ledger does not open at the beginning. Later such an error is told, and the prompt stays.
    """
    with place.opened() as con:
        catalog = read_catalog(con)
    prompt = _Prompt(place, tenant_id, form, catalog)
    session: PromptSession[str] = PromptSession(
        f"{tenant_id or 'pfo'}> ",
        prompt_continuation=lambda width, *_: ". ".rjust(width),
        multiline=Condition(lambda: not _is_whole(session.default_buffer.text)),
        lexer=PygmentsLexer(PostgresLexer),
        completer=SqlCompleter(catalog),
        complete_while_typing=False,
        history=_history(),
        input=terminal,
        # Without an output of its own the session edits as a terminal without movements of the cursor lets it.
        output=screen or (None if is_dumb_terminal() else create_output(always_prefer_tty=True)),
    )
    _say("SQL on the published ledger. End a statement with ; and see .help")
    while True:
        try:
            text = session.prompt().strip()
            if text.rstrip(" ;") == ".quit":
                return
            if text.startswith("."):
                prompt.obey(text)
            elif text:
                prompt.answer(text)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _is_whole(text: str) -> bool:
    """Whether Enter ends it: nothing, a command, or SQL up to a `;` that is no part of a text or a comment."""
    stripped = text.strip()
    if not stripped or stripped.startswith("."):
        return True
    ends, _ = _tokens(stripped)
    return ends[-1:] == [len(stripped.encode(errors="replace"))]


def _statements(text: str) -> list[str]:
    """Not as DuckDB would split it: of one `pivot` that makes two."""
    written = text.encode(errors="surrogateescape")
    ends, words = _tokens(text)
    bounds = zip([0, *ends], [*ends, len(written)], strict=True)
    found = [written[start:end] for start, end in bounds if any(start <= word < end for word in words)]
    return [statement.decode(errors="surrogateescape") for statement in found] or [text]


def _tokens(text: str) -> tuple[list[int], list[int]]:
    """Where statements end, behind each `;` that is no part of a text or a comment, and where all else begins: in bytes."""
    written = text.encode(errors="replace")  # What no UTF-8 can be is a ? here; whoever runs the query refuses it.
    starts = [start for start, _ in duckdb.tokenize(written.decode())]
    ends = [start + 1 for start in starts if written[start : start + 1] == b";"]
    return ends, [start for start in starts if start + 1 not in ends]


def _describe(relation: Relation) -> None:
    _say(f"{relation.kind} {relation.called}: {relation.comment}")
    columns = ["column", "type", "holds"]
    rows = [dict(zip(columns, (c.name, c.type, c.comment), strict=True)) for c in relation.columns]
    show(console(stderr=True), columns, rows)


def _say(text: str) -> None:
    click.echo(visible_lines(text), err=True)


class _KeptHistory(FileHistory):
    """A history that cannot be read or kept, as on a full disk, is no reason to fail."""

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        with suppress(OSError, UnicodeError):
            super().store_string(string)


def _history() -> History:
    """In the user's own state folder, as the XDG base directory specification has it; for his eyes only."""
    try:
        told = Path(os.environ.get("XDG_STATE_HOME", ""))
        folder = (told if told.is_absolute() else Path.home() / ".local" / "state") / "pfo"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "sql_history"
        handle = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except (OSError, RuntimeError):  # There is no home.
        return InMemoryHistory()
    return _KeptHistory(str(file))
