"""Writes every row of every published relation to text files, to compare one release of the code with another.

    python -m pfo_pipeline_tests.upgrades.published FOLDER          the year of the demonstration and ten half-years
    diff -r BEFORE AFTER                                            no output if no balance changed

Macros with times are called with twenty pairs of times. A renamed relation keeps its former name here, by _NAMES.
Not part of the suite: it takes some minutes.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from pfo_pipeline_tests import demo_year
from pfo_pipeline_tests.oracle.driving import played
from pfo_pipeline_tests.oracle.generate import generated

_SEEDS = range(10)
_NAMES: dict[str, str] = {}
"""New name of a relation to its former name."""
_AT_AND_KNOWN_AT = (
    "linked_balances_as_of",
    "balances_as_of",
    "links_as_of",
    "positions_as_of",
    "cash_position",
    "coverage_as_of",
)
_AT = ("accounts_as_of", "account_identity_as_of", "proposals_as_of", "quarantine_as_of", "restatements", "freshness")
_DIFFERS_BY_RUN = ("link", "payload_digest")
"""Columns that contain the port of the simulated bank."""


def ledgers(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and published file of each ledger, created in the folder."""
    yield "year", demo_year.build(folder / "year")
    for seed in _SEEDS:
        with played(generated(seed).script, folder / str(seed)) as moments:
            *_, (product, _) = moments
        yield f"half-year-{seed}", product.ledger.files.published


def write(published: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with duckdb.connect() as con:
        con.execute(f"attach '{published}' as ledger (read_only)")
        con.execute("use ledger.ledger")
        con.execute("set TimeZone = 'UTC'")
        tables = "select table_name from information_schema.tables where table_catalog = 'ledger'"
        for (name,) in con.execute(tables).fetchall():
            _write(con, name, f"from {name}", folder)
        moments = _moments(con)
        for at in moments:
            for name in _AT:
                _write(con, f"{name} {at}", f"from {name}({at})", folder)
            for known_at in moments[1:]:
                for name in _AT_AND_KNOWN_AT:
                    _write(con, f"{name} {at} {known_at}", f"from {name}({at}, known_at := {known_at})", folder)


def _moments(con: duckdb.DuckDBPyConnection) -> list[str]:
    """A date and four times of the ledger's life, as SQL."""
    found = con.execute(
        "select (min(recorded_at) + (max(recorded_at) - min(recorded_at)) * p)::varchar "
        "from loads, (select unnest([0.3, 0.5, 0.8, 1.0]) as p) group by p order by p"
    ).fetchall()
    moments = [f"'{moment}'::timestamptz" for (moment,) in found]
    return [f"'{found[1][0][:10]}'", *moments]


def _write(con: duckdb.DuckDBPyConnection, name: str, query: str, folder: Path) -> None:
    """Write the rows in a fixed order, with columns by name."""
    relation = con.sql(query)
    columns = sorted(c for c in relation.columns if c not in _DIFFERS_BY_RUN)
    rows = sorted(str(tuple(zip(columns, row, strict=True))) for row in relation.project(_listed(columns)).fetchall())
    first, _, rest = name.partition(" ")
    file = folder / f"{_NAMES.get(first, first)} {rest}".strip().replace("'", "").replace("::timestamptz", "")
    file.write_text("\n".join(rows) + "\n")


def _listed(columns: list[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def main(target: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, published in ledgers(Path(folder)):
            write(published, Path(target) / name)
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
