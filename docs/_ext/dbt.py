"""Writes `docs/dbt/sources.yml`, the ledger as dbt sources: `python -m docs._ext.dbt > docs/dbt/sources.yml`."""

import json
from collections.abc import Iterator

import duckdb

from pfo_pipeline.ledger.schema import SCHEMA, create

_RELATIONS = """
select table_name, comment, true from duckdb_tables() where schema_name = $schema
union all
select view_name, comment, false from duckdb_views() where schema_name = $schema
order by all
"""
_COLUMNS = """
select column_name, lower(data_type), comment, is_nullable from duckdb_columns()
where schema_name = $schema and table_name = $relation
order by column_index
"""
# Listed here because the catalogue does not contain it: a view has no constraints.
_NEVER_NULL = {
    "positions": ("tenant_id", "account_id", "display_name", "account_type", "connection_id"),
    "totals": ("tenant_id", "currency", "accounts", "oldest_as_of"),
    "accounts_latest": ("tenant_id", "account_id"),
    "balances_latest": ("tenant_id", "account_id", "as_of", "currency", "current_balance"),
    "connections_latest": ("tenant_id", "connection_id", "status"),
    "users_latest": ("tenant_id", "user_id", "status"),
    "account_identity": ("tenant_id", "account_id", "canonical_id"),
}
_UNIQUE = {"loads": "load_id"}
_HEAD = """\
# Written from the ledger's own catalogue; renew it with: python -m docs._ext.dbt > docs/dbt/sources.yml
# How to use it: docs/analyst.md, "dbt".
version: 2

sources:
  - name: bank
    description: Bank accounts and balances of the office's tenants, from Powens, as pfo-pipeline publishes them; read-only.
    database: bank  # The name under which the profile attaches the ledger.
    schema: ledger
    tables:
"""
# Every run writes a load, even if no balance has changed, so the newest load shows whether the pipeline works.
_FRESHNESS = """\
        config:
          loaded_at_field: recorded_at
          freshness:
            warn_after: {count: 36, period: hour}
            error_after: {count: 3, period: day}
"""


def render() -> str:
    """Return the content of the file. Texts are quoted as JSON, which is valid YAML."""
    with duckdb.connect() as con:
        create(con)
        schema = {"schema": SCHEMA}
        return _HEAD + "".join(
            line
            for name, comment, is_table in con.execute(_RELATIONS, schema).fetchall()
            for line in _relation(con, name, comment, is_table)
        )


def _relation(con: duckdb.DuckDBPyConnection, relation: str, comment: str, is_table: bool) -> Iterator[str]:
    yield f"      - name: {relation}\n        description: {_text(comment)}\n"
    if relation == "loads":
        yield _FRESHNESS
    yield "        columns:\n"
    for column, kind, meaning, is_nullable in con.execute(
        _COLUMNS, {"schema": SCHEMA, "relation": relation}
    ).fetchall():
        yield f"          - name: {column}\n            description: {_text(meaning)}\n            data_type: {kind}\n"
        tests = []
        if not is_nullable if is_table else column in _NEVER_NULL.get(relation, ()):
            tests.append("not_null")
        if _UNIQUE.get(relation) == column:
            tests.append("unique")
        if tests:
            yield f"            data_tests: [{', '.join(tests)}]\n"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201
