"""Checking a ledger against its own proof: is everything there as it was written, and does it hold together?

Reads every value of every row, so a damaged block is found too. Not here: what is written (proof.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import duckdb

from pfo_pipeline.contracts.tables import tables
from pfo_pipeline.ledger.proof import SEALED_TABLES, link_texts_sql, seals_sql
from pfo_pipeline.ledger.schema import known_migrations, version_of
from pfo_pipeline.telemetry.progress import steps

_COPY = "published copy"


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it was written. `about` is a load, a table or both."""

    tenant_id: str
    about: str
    problem: str


@dataclass(frozen=True)
class Verified:
    """What a check found. `heads` is the last hash of each tenant's chain: it stands for all that was checked."""

    loads: int
    rows: int
    heads: dict[str, str]
    findings: tuple[Finding, ...]


def verify(con: duckdb.DuckDBPyConnection) -> Verified:
    """Check the ledger behind `con`, of today's version, its schema entered. Changes nothing.

    Raises: duckdb.Error: a block of the file cannot be read.
    """
    findings = sorted({*_log(con), *_chain(con), *_contents(con), *_provenance(con), *_keys(con), *_references(con)})
    [(loads, rows)] = con.execute(
        "select (select count(*) from loads), coalesce(sum(rows), 0)::bigint "
        "from (from seals qualify row_number() over (partition by about_load_id, table_name order by load_id desc) = 1)"
    ).fetchall()
    return Verified(int(loads), int(rows), heads_of(con), tuple(findings))


def heads_of(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The last hash of each tenant's chain."""
    return dict(
        con.execute("select tenant_id, max_by(hash, load_id) from chain group by tenant_id order by all").fetchall()
    )


def compare(primary: Verified, published: duckdb.DuckDBPyConnection | None) -> Verified:
    """The primary's findings, and those about its published copy: equal chains that both hold mean equal contents."""
    if published is None:
        differing = [Finding("", _COPY, "is not there; the next run publishes it")]
    elif version_of(published) < known_migrations()[-1].version:
        differing = [Finding("", _COPY, "is of an earlier version; the next run publishes it anew")]
    else:
        copy = verify(published)
        differing = [Finding(f.tenant_id, f"{_COPY}, {f.about}", f.problem) for f in copy.findings]
        differing += [
            Finding(tenant_id, _COPY, "ends at another load than the primary; the next run publishes it")
            for tenant_id in sorted(primary.heads | copy.heads)
            if primary.heads.get(tenant_id) != copy.heads.get(tenant_id)
        ]
    return replace(primary, findings=(*primary.findings, *differing))


def _log(con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """The load log has no hole, and what we knew never ran backwards."""
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
    """Each link follows the one before, and hashes to what it says."""
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
    """Each load has in each table what its newest seal says: as many rows, the same sum, the same content.

    The content of a table whose personal columns are left out, as a published copy may do, is not what was written.
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
    """Each row names the load that wrote it, with that load's own run, operation and moment."""
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
    """No version overlaps another of the same thing, and the newest balances are those of the history.

    A version holds until the next load's, so only two of one load could overlap, and none can leave a hole.
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
    """What a row refers to is in the ledger."""
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
