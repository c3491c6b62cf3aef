"""Verify a ledger against its own proof: every row is as it was written, and the tables are consistent.

Reads every value of every row, so a damaged block is found too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb

from pfo_pipeline.contracts.tables import AccountRow, table_of, tables
from pfo_pipeline.ledger.connection import quoted
from pfo_pipeline.ledger.hash_chain import (
    OFFICE_TABLES,
    SEALED_TABLES,
    link_texts_sql,
    office_table_sql,
    row_text_sql,
    seals_sql,
)
from pfo_pipeline.ledger.schema import (
    SCHEMA,
    catalogue_of,
    expected_catalogue,
    known_migrations,
    version_of,
)
from pfo_pipeline.telemetry import steps

COPY = "published copy"

PERSONAL_COLUMNS = tuple((table_of(AccountRow).name, c.name) for c in table_of(AccountRow).columns if c.personal)
"""Table and column of the data that a published copy leaves out if the office withholds personal columns."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it was written. `about` is a load, a table, a view or a macro."""

    tenant_id: str
    about: str
    problem: str

    @property
    def is_of_views(self) -> bool:
        """Whether recreating views and macros repairs it."""
        return self.about.startswith(("view ", "macro "))

    @property
    def is_of_tables(self) -> bool:
        """Whether a table differs from the migrations, so that nothing else can be checked."""
        return self.about.startswith("table ")


@dataclass(frozen=True)
class Verified:
    """The result of a check. `heads` is the last hash of each tenant's chain, which covers everything that was checked."""

    loads: int
    rows: int
    heads: dict[str, str]
    findings: tuple[Finding, ...]
    remedy: str | None = None
    """The command that repairs the findings."""


def read_every_block(con: duckdb.DuckDBPyConnection) -> None:
    """Read every value of every table behind `con`. DuckDB checks the checksum of each block that it reads.

    Raises: duckdb.Error: a block of the file cannot be read.
    """
    tables_there = con.execute(
        "select database_name, schema_name, table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    for database, schema, table in tables_there:
        name = ".".join(map(quoted, (database, schema, table)))
        con.execute(f"select bit_xor(hash(t)) from {name} t").fetchall()


def verify(con: duckdb.DuckDBPyConnection, *, withheld: Sequence[tuple[str, str]] = ()) -> Verified:
    """Verify the ledger behind `con`, of today's version, with its schema entered. Changes nothing.

    Args:
        withheld: Table and column of the data that this copy leaves out; empty for a complete ledger.
    Raises: duckdb.Error: a block of the file cannot be read.
    """
    findings = {*_schema(con)}
    if any(finding.is_of_tables for finding in findings):
        return Verified(0, 0, {}, tuple(sorted(findings)))  # The other checks need correct tables.
    looks = (_office_tables, _log, _chain, _contents, _provenance, _keys, _references)
    findings |= {*_withheld(con, withheld), *(finding for look in looks for finding in look(con))}
    sealed = ", ".join(f"'{name}'" for name in SEALED_TABLES)
    [(loads, rows)] = con.execute(
        f"""
        select (select count(*) from loads), coalesce(sum(rows), 0)::bigint
        from (
            from seals where table_name in ({sealed})
            qualify row_number() over (partition by about_load_id, table_name order by load_id desc) = 1
        )
        """
    ).fetchall()
    return Verified(int(loads), int(rows), heads_of(con), tuple(sorted(findings)))


def heads_of(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the last hash of each tenant's chain."""
    return dict(
        con.execute("select tenant_id, max_by(hash, load_id) from chain group by tenant_id order by all").fetchall()
    )


def of_published(finding: Finding) -> Finding:
    """Return the finding as a finding about the published copy."""
    return finding if finding.about == COPY else replace(finding, about=f"{COPY}, {finding.about}")


def is_of_today(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the ledger behind `con` has today's schema, so that it can be verified."""
    return version_of(con) == known_migrations()[-1].version


def differences(primary: Verified, copy: Verified) -> list[Finding]:
    """Return where a published copy's chains end at other loads than the primary's. Equal chains mean equal contents."""
    return [
        Finding(tenant_id, COPY, "ends at another load than the primary")
        for tenant_id in sorted(primary.heads | copy.heads)
        if primary.heads.get(tenant_id) != copy.heads.get(tenant_id)
    ]


def differing_rows(primary: duckdb.DuckDBPyConnection, copy: duckdb.DuckDBPyConnection) -> list[Finding]:
    """Return the loads whose accounts differ in a column that a copy without personal columns has.

    Seals cannot show this, because they cover all columns.
    """
    ours, theirs = (dict(con.execute(_PUBLIC_CONTENTS).fetchall()) for con in (primary, copy))
    table = table_of(AccountRow).name
    return [
        Finding("", f"{COPY}, load {load_id}, {table}", "at least one row is not what was written")
        for load_id in sorted(ours.keys() & theirs.keys())
        if ours[load_id] != theirs[load_id]
    ]


_PUBLIC_CONTENTS = f"""
select load_id, sha256(string_agg(row_hash, '' order by row_hash))
from (
    select load_id, sha256({row_text_sql(table_of(AccountRow).name, without=[name for _, name in PERSONAL_COLUMNS])})
        as row_hash
    from {table_of(AccountRow).name}
)
group by load_id
"""


def _schema(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Tables, views and macros are those of the migrations: a changed view changes every answer."""
    ours, expected = catalogue_of(con), expected_catalogue()
    for name in sorted(ours.keys() | expected.keys()):
        if name not in ours:
            yield Finding("", name, "is missing")
        elif name not in expected:
            yield Finding("", name, "is not made by any migration")
        elif ours[name] not in expected[name]:
            yield Finding("", name, "is not what the migrations make")
    strangers = con.execute(
        """
        select schema_name || '.' || name from (
            select database_name, schema_name, table_name as name, internal from duckdb_tables()
            union all select database_name, schema_name, view_name, internal from duckdb_views()
        ) where database_name = current_database() and schema_name <> $schema and not internal
        """,
        {"schema": SCHEMA},
    ).fetchall()
    for (name,) in sorted(strangers):
        yield Finding("", name, "is not made by any migration")


def _office_tables(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """The migrations are those of this program, and nothing changed since each tenant's newest seal over these tables."""
    known = [(migration.version, migration.name) for migration in known_migrations()]
    if con.execute("select version, name from migrations order by version").fetchall() != known:
        yield Finding("", "migrations", "does not list this program's migrations, each once")
    if con.execute("select count(*) from office").fetchall() != [(1,)]:
        yield Finding("", "office", "does not name exactly one office")
    for table in OFFICE_TABLES:
        for tenant_id, load_id, rows, content_hash in con.execute(
            "from (select tenant_id, load_id, rows, content_hash from seals where table_name = $table "
            "qualify row_number() over (partition by tenant_id order by load_id desc) = 1) order by all",
            {"table": table},
        ).fetchall():
            # Rows added since are sealed by the tenant's next load.
            sealed = f"(from {table} order by all limit {int(rows)})"
            if con.execute(office_table_sql(table, sealed)).fetchall() != [(rows, content_hash)]:
                yield Finding(tenant_id, table, f"was changed after load {load_id} sealed it")


def _withheld(con: duckdb.DuckDBPyConnection, expected: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """`withheld` has the expected rows: an extra row would hide a changed table."""
    if sorted(con.execute("from withheld").fetchall()) != sorted(expected):
        yield Finding("", "withheld", "does not list the columns that the configuration withholds")


def _log(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """The load log has no gap, and recorded times never run backwards."""
    log = con.execute(
        """
        select load_id, tenant_id, load_id - lag(load_id, 1, 0) over w, recorded_at <= lag(recorded_at) over w
        from loads window w as (order by load_id, recorded_at)
        """
    ).fetchall()
    for load_id, tenant_id, step, is_back in log:
        if step == 0:
            yield Finding(tenant_id, f"load {load_id}", "is in the load log more than once")
        if step > 1:
            missing = f"load {load_id - 1}" if step == 2 else f"loads {load_id - step + 1} to {load_id - 1}"
            yield Finding(tenant_id, f"load {load_id}", f"{missing} before it no longer in the load log")
        if is_back:
            yield Finding(tenant_id, f"load {load_id}", "recorded before the load before it")


def _chain(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Each link follows the previous one, and its hash matches its content."""
    links = con.execute(
        f"""
        select
            coalesce(c.tenant_id, t.tenant_id),
            coalesce(c.load_id, t.load_id) as load_id,
            c.load_id is null,
            t.load_id is null,
            c.previous_hash <> lag(c.hash, 1, '') over (partition by c.tenant_id order by c.load_id),
            c.hash <> sha256(c.previous_hash || t.link_text)
        from chain c full join ({link_texts_sql()}) t on t.load_id = c.load_id and t.tenant_id = c.tenant_id
        order by load_id
        """
    ).fetchall()
    for tenant_id, load_id, is_unlinked, is_unlogged, is_loose, is_changed in links:
        about = f"load {load_id}"
        if is_unlinked:
            yield Finding(tenant_id, about, "has no link in the chain")
        elif is_unlogged:
            yield Finding(tenant_id, about, "is in the chain and no longer in the load log")
        elif is_changed:
            yield Finding(tenant_id, about, "its line in the load log, its seals or its link were changed afterwards")
        if is_loose:
            yield Finding(tenant_id, about, "does not follow the link before it: one was removed or changed")


def _contents(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Each load has in each table what its newest seal records: row count, sum and content.

    The content of a table whose personal columns are left out, as in some published copies, is not checked, because it
    differs.
    """
    partial = {name for (name,) in con.execute("select distinct table_name from withheld").fetchall()}
    for table in steps("Verifying tables", SEALED_TABLES):
        differing = con.execute(
            f"""
            with sealed as (
                from seals where table_name = $table
                qualify row_number() over (partition by about_load_id order by load_id desc) = 1
            )
            select
                coalesce(s.tenant_id, f.tenant_id),
                coalesce(s.about_load_id, f.about_load_id) as load_id,
                s.rows, coalesce(f.rows, 0), s.amount_sum, f.amount_sum
            from sealed s full join ({seals_sql(table)}) f using (tenant_id, about_load_id)
            where s.rows is distinct from coalesce(f.rows, 0)
                or s.amount_sum is distinct from f.amount_sum
                or ($is_whole and s.rows > 0 and s.content_hash is distinct from f.content_hash)
            order by load_id
            """,
            {"table": table, "is_whole": table not in partial},
        ).fetchall()
        for tenant_id, load_id, sealed, found, sealed_sum, found_sum in differing:
            about = f"load {load_id}, {table}"
            if sealed is None:
                yield Finding(tenant_id, about, f"{found} rows that no load wrote")
            elif sealed != found:
                yield Finding(tenant_id, about, f"{found} rows are there, {sealed} were written")
            elif sealed_sum != found_sum:
                yield Finding(tenant_id, about, f"amounts add up to {found_sum}, {sealed_sum} were written")
            else:
                yield Finding(tenant_id, about, f"of {found} rows at least one is not what was written")


def _provenance(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Each row names the load that wrote it, with that load's own run, operation and time."""
    for table in tables():
        strayed = con.execute(
            f"""
            select distinct r.tenant_id, r.load_id
            from {table.name} r anti join loads l on l.load_id = r.load_id and l.tenant_id = r.tenant_id
                and l.run_id = r.run_id and l.operation = r.operation and l.recorded_at = r.recorded_at
            """
        ).fetchall()
        for tenant_id, load_id in strayed:
            yield Finding(tenant_id, f"load {load_id}, {table.name}", "rows that name another run, operation or moment")


def _keys(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """No version overlaps another of the same key, and the newest balances are those of the history.

    A version is valid until the next load's version, so only two versions of one load could overlap, and gaps cannot occur.
    """
    for table in tables():
        key = ", ".join(table.key)
        repeated = con.execute(
            f"select distinct tenant_id, load_id from {table.name} group by {key}, load_id having count(*) > 1"
        ).fetchall()
        for tenant_id, load_id in repeated:
            yield Finding(tenant_id, f"load {load_id}, {table.name}", f"two rows of the same {key}")
    differing = con.execute(
        """
        with newest as (
            from balances qualify row_number() over (partition by tenant_id, account_id order by as_of desc, load_id desc) = 1
        )
        select distinct tenant_id
        from ((from newest except all from balances_current) union all (from balances_current except all from newest))
        """
    ).fetchall()
    for (tenant_id,) in differing:
        yield Finding(tenant_id, "balances_current", "not the newest balances of the history")


_REFERENCES = (
    ("balances", "account_id", "accounts"),
    ("accounts", "user_id", "users"),
    ("connections", "user_id", "users"),
)


def _references(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """References of a row exist in the ledger."""
    for table, column, target in _REFERENCES:
        dangling = con.execute(
            f"""
            select r.tenant_id, r.load_id, count(distinct r.{column})
            from {table} r anti join {target} t on t.tenant_id = r.tenant_id and t.{column} = r.{column}
            group by r.tenant_id, r.load_id
            """
        ).fetchall()
        for tenant_id, load_id, count in dangling:
            yield Finding(tenant_id, f"load {load_id}, {table}", f"{count} unknown in {target} by {column}")
