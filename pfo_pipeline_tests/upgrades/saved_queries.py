"""An analyst's saved queries: read from a file, run on a ledger, with answers as text."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

_HEAD = re.compile(r"^-- query: (?P<name>\w+)\n-- values: (?P<values>stay|may change)\n", re.MULTILINE)


@dataclass(frozen=True)
class SavedQuery:
    """A query by name; `values_stay` if every later release must give the same rows."""

    name: str
    values_stay: bool
    sql: str


@dataclass(frozen=True)
class Answer:
    """Columns, and rows of texts; null is None."""

    columns: list[str]
    rows: list[list[str | None]]

    def only(self, columns: list[str]) -> list[list[str | None]]:
        """Rows of some columns, in a fixed order: a later release may have more columns."""
        places = [self.columns.index(column) for column in columns]
        return in_order([[row[place] for place in places] for row in self.rows])


def in_order(rows: list[list[str | None]]) -> list[list[str | None]]:
    return sorted(rows, key=lambda row: [(value is not None, value or "") for value in row])


def read_queries(path: Path) -> list[SavedQuery]:
    text = path.read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        SavedQuery(head["name"], head["values"] == "stay", text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    ]


def ask(con: duckdb.DuckDBPyConnection, query: SavedQuery) -> Answer:
    found = con.execute(query.sql)
    columns = [str(column[0]) for column in found.description or ()]
    return Answer(columns, [[_text(value) for value in row] for row in found.fetchall()])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool | int | timedelta):
        return str(value)
    assert isinstance(value, list), type(value)
    return json.dumps([_text(each) for each in value])


def read_answers(path: Path) -> dict[str, Answer]:
    return {name: Answer(**given) for name, given in json.loads(path.read_text(encoding="utf-8")).items()}


def write_answers(path: Path, answers: dict[str, Answer]) -> None:
    """One row a line, so that a difference is easy to read."""
    given = []
    for name, answer in answers.items():
        rows = ",\n".join(f"   {json.dumps(row, ensure_ascii=False)}" for row in answer.rows)
        given.append(f' "{name}": {{"columns": {json.dumps(answer.columns)}, "rows": [\n{rows}\n ]}}')
    path.write_text("{\n" + ",\n".join(given) + "\n}\n", encoding="utf-8")
