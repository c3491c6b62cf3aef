"""`pfo sql`: a query on the published ledger that reaches the ledger, or one tenant's rows, and no other file."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import click
import duckdb

from pfo_pipeline.cli.context import Place, find_place, select_tenants
from pfo_pipeline.cli.options import complete_tenants, examples, formats, without_pandas
from pfo_pipeline.cli.output import console, show, write
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.schema import SCHEMA, create

SHOWN = 200
"""Rows of an answer that a terminal is given: more are no answer for people."""
_COUNTED = 10_000
"""How far the rows that are not shown are counted: each must be fetched for that."""


class ShellUnavailable(PfoError):
    """DuckDB's shell is not installed, or cannot show this ledger."""


class QueryError(PfoError):
    """The SQL could not be run; the message is DuckDB's own."""


@dataclass(frozen=True)
class QueryResult:
    """The result of a query.

    rows: All of them, or the first SHOWN.
    found: How many there are; None when there are more than were counted.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    found: int | None


def run_sql(place: Place, query: str, tenant_id: str | None, *, whole: bool = True) -> QueryResult:
    """Run one query on the published ledger; with a tenant, on a copy in memory that holds that tenant alone.

    The query reaches no other file, and writes none: not even for a sort that memory does not hold.

    Args:
        whole: Give every row, not only what a terminal is given.
    Raises:
        QueryError: the query is wrong, outgrows the memory, or gives a value that Python has no form for.
        KeyboardInterrupt: somebody pressed Ctrl-C.
    """
    try:
        # Errors are named inside: an error of a query says nothing about the ledger's file.
        with _one_tenant(place, tenant_id) if tenant_id else place.opened() as con:
            _lock_in(con)
            try:
                return _interruptibly(con, lambda: _answered(con, query, whole))
            except (OverflowError, TypeError, ValueError) as error:
                raise QueryError(
                    f"Python has no form for a value of the answer ({error}). Make it text in the query: value::varchar."
                ) from None
            except duckdb.OutOfMemoryException:
                raise QueryError(_too_large(place)) from None
            except duckdb.Error as error:
                if isinstance(error, duckdb.IOException) and tenant_id is None:
                    raise  # The one file that a query reaches is damaged: the ledger.
                raise QueryError(str(error)) from None
    except RuntimeError as error:  # DuckDB's Python makes this of a Ctrl-C.
        raise KeyboardInterrupt if isinstance(error.__cause__, KeyboardInterrupt) else error from None


def print_answer(answer: QueryResult, form: str | None) -> None:
    """As a table, or as `form` (json, csv) has it."""
    if form:
        write(sys.stdout, answer.columns, answer.rows, form)
    else:
        show(console(), answer.columns, answer.rows, _counted(answer))


def shows_all(form: str | None) -> bool:
    """Whether every row is wanted: by a program, or by whatever is at the other end of a pipe."""
    return form is not None or not sys.stdout.isatty()


def _counted(answer: QueryResult) -> str | None:
    if answer.found == len(answer.rows):
        return None
    found = f"more than {_COUNTED}" if answer.found is None else answer.found
    return f"{found} rows, the first {len(answer.rows)} shown; all of them: --csv, --json, or a pipe"


def _interruptibly(con: duckdb.DuckDBPyConnection, ask: Callable[[], QueryResult]) -> QueryResult:
    """DuckDB's Python (1.5) sees a Ctrl-C only between two pieces of its work, of which a join may have one of hours."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(ask)
        try:
            return answer.result()
        except KeyboardInterrupt:
            while not answer.done():  # Again: a query that has not begun yet is not interrupted.
                con.interrupt()
                wait([answer], timeout=0.05)
            raise


def _answered(con: duckdb.DuckDBPyConnection, query: str, whole: bool) -> QueryResult:
    try:
        query.encode()  # DuckDB's own error for that depends on its version.
    except UnicodeEncodeError:
        raise QueryError("The query is not UTF-8 text.") from None
    # DuckDB's Python gives None for a text without a statement, whatever its type says.
    cursor: duckdb.DuckDBPyConnection | None = con.execute(query)
    if cursor is None:
        raise QueryError('There is no statement in the query. Give one, such as "select * from positions".')
    columns = _distinct([str(column[0]) for column in cursor.description or ()])
    values = cursor.fetchall() if whole else cursor.fetchmany(_COUNTED + 1)
    found = len(values) if whole or len(values) <= _COUNTED else None
    rows = [dict(zip(columns, row, strict=True)) for row in (values if whole else values[:SHOWN])]
    return QueryResult(columns, rows, found)


def _too_large(place: Place) -> str:
    return (
        "The query needs more memory than there is, and may not use the disk from here. Ask for less, or ask with DuckDB "
        f"itself, which then uses the disk: duckdb -readonly {place.files.published}"
    )


def _lock_in(con: duckdb.DuckDBPyConnection) -> None:
    """No query can reach a file or an object of this program from here on, nor undo that.

    Without external access alone, DuckDB 1.5 still let `copy` write `ledger.duckdb.wal` beside the ledger, and read the
    ledger's own file: so the file systems are disabled too. That excludes the temporary files of a large sort: DuckDB
    writes them through the same file system.
    """
    con.execute("set python_enable_replacements = false")
    con.execute("set temp_directory = ''")
    con.execute("set enable_external_access = false")
    con.execute("set disabled_filesystems = 'LocalFileSystem'")
    con.execute("set lock_configuration = true")


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    counts: dict[str, int] = {}
    out = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{counts[name]}")
    return out


@contextmanager
def _one_tenant(place: Place, tenant_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A ledger in memory with one tenant's rows."""
    with place.opened() as source:
        named = source.execute(
            "select table_name from duckdb_columns() c join duckdb_tables() t using (schema_name, table_name) "
            "where schema_name = 'ledger' and column_name = 'tenant_id'"
        ).fetchall()
        copies = {
            str(name): source.sql(
                f'from "{name}" where tenant_id = $tenant', params={"tenant": tenant_id}
            ).to_arrow_table()
            for (name,) in named
        }
    con = duckdb.connect(":memory:", config={"temp_directory": ""})  # Nothing of it on the disk: it may be encrypted.
    try:
        create(con)
        for name, rows in copies.items():
            con.register("copied", rows)
            con.execute(f'insert into "{name}" by name from copied')
            con.unregister("copied")
        yield con
    finally:
        con.close()


def find_shell() -> str | None:
    """The path of DuckDB's shell: that of the package duckdb-cli, else `duckdb` on the PATH; None if there is none.

    Not the command `duckdb` of the package (1.5): that is a Python program around the shell, which Ctrl-C would end.
    """
    package = find_spec("duckdb_cli")
    bundled = Path(package.origin).with_name("duckdb") if package is not None and package.origin else None
    return str(bundled) if bundled is not None and bundled.is_file() else shutil.which("duckdb")


def start_shell(place: Place, tenant_id: str | None, form: str | None) -> NoReturn:
    """Replace this process by DuckDB's shell on the published ledger, read-only and in the ledger's schema.

    In the shell's safe mode it reaches no other file and starts no program (DuckDB docs, CLI, Safe Mode).

    Raises:
        ShellUnavailable: one tenant, another form or an encrypted ledger is asked for, or the shell is not installed.
        LedgerError: the ledger does not open.
    """
    if tenant_id is not None or form is not None:
        words = f" --tenant {tenant_id}" * (tenant_id is not None) + f" --{form}" * (form is not None)
        raise ShellUnavailable(
            f'DuckDB\'s shell shows the whole ledger, in its own forms. Give the query: pfo sql{words} "QUERY"'
        )
    if place.config is not None and place.config.encryption_key is not None:
        raise ShellUnavailable('DuckDB\'s shell does not open an encrypted ledger. Give the query: pfo sql "QUERY"')
    program = find_shell()
    if program is None:
        raise ShellUnavailable(
            "DuckDB's shell is not installed. Install it, or give the query: "
            f"{sys.executable} -m pip install 'duckdb-cli=={duckdb.__version__}', or pfo sql \"QUERY\""
        )
    with place.opened():
        pass
    enter = f"set TimeZone = 'UTC'; use {place.files.published.stem}.{SCHEMA}"
    os.execv(program, [program, "-readonly", "-cmd", enter, "-cmd", ".safe_mode", str(place.files.published)])  # noqa: S606 - no shell is wanted


@click.command(
    short_help="Run a query on the ledger.",
    epilog=examples(
        "pfo sql 'from totals'", "pfo sql --tenant martin --csv 'select display_name, current_balance from positions'"
    ),
)
@click.argument("query", required=False)
@click.option("--tenant", metavar="NAME", shell_complete=complete_tenants, help="See this tenant's rows and no others.")
@formats
@without_pandas
def sql(query: str | None, tenant: str | None, form: str | None) -> None:
    """Run a query on the published ledger.

    Without QUERY it is read from standard input; on a terminal DuckDB's own shell starts, read-only.
    """
    place = find_place()
    if tenant is not None:
        select_tenants(place, (tenant,))
    if query is None and sys.stdin.isatty():
        start_shell(place, tenant, form)
    text = sys.stdin.read() if query is None else query
    print_answer(run_sql(place, text, tenant, whole=shows_all(form)), form)
