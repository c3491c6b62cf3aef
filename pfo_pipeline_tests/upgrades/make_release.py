"""Freezes the current release: plays an office, and keeps the files and answers of the release.

    python -m pfo_pipeline_tests.upgrades.make_release

Run it by hand, once for each release, after writing the release's `queries.sql`. Everything is made in /srv/pfo, so that no
file names the machine; paths in tracebacks that Dagster stored are replaced by neutral ones.
"""

import json
import lzma
import os
import re
import shutil
import sqlite3
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import duckdb

from pfo_pipeline.config import load_config
from pfo_pipeline.defs.sensors import after_sync
from pfo_pipeline.ledger.office import opened
from pfo_pipeline_tests.simulated_bank import SimulatedBank
from pfo_pipeline_tests.upgrades.office import (
    DAYS,
    FEW_DAYS,
    FIRST,
    KEY,
    LAST_DAYS,
    PlayedOffice,
    play,
    run_the_last_days,
    under_the_banks_clock,
)
from pfo_pipeline_tests.upgrades.saved_queries import ask, read_queries, write_answers

PLACE = Path("/srv/pfo")
REPOSITORY = Path(__file__).parents[2]
RELATIONS = """
select table_name, list(column_name order by ordinal_position)
from information_schema.columns
where table_catalog = current_database() and table_schema = 'ledger'
group by all order by all
"""
MACROS = """
select function_name, parameters
from duckdb_functions()
where database_name = current_database() and schema_name = 'ledger' and function_type = 'table_macro'
order by all
"""


def main() -> None:
    release = version("pfo-pipeline")
    if not re.fullmatch(r"\d+\.\d+\.\d+", release):
        sys.exit(f"{release} is no release: set the version, install, and run again.")
    folder = Path(__file__).parent / f"release_{release.replace('.', '_')}"
    if (folder / "answers.json").exists():
        sys.exit(f"{folder} is frozen: what a release wrote is not made again.")
    if PLACE.exists():
        sys.exit(f"{PLACE} is there already. Move it away.")
    with _alone_in(PLACE), SimulatedBank(world="demo", now=FIRST) as bank, under_the_banks_clock(bank), _taken() as url:
        office = PlayedOffice(bank, PLACE, alert_url=url)
        play(office, DAYS - LAST_DAYS)
        run_the_last_days(office)
        _finish(office, folder / "plain.tar.xz")
        _keep_texts(folder)
    with _alone_in(PLACE), SimulatedBank(world="demo", now=FIRST) as bank, under_the_banks_clock(bank):
        office = PlayedOffice(bank, PLACE, key=KEY)
        play(office, FEW_DAYS)
        office.pfo("rekey", "--old-key", "file:secrets/ledger_key")  # A rewritten file has no free blocks.
        _finish(office, folder / "encrypted.tar.xz")


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    before = Path.cwd()
    os.chdir(place)
    os.environ["PFO_CONFIG"] = str(place / "pfo.toml")
    for name in ("PFO_DATA_DIR", "DAGSTER_HOME", "PFO_ROLE"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.chdir(before)
        shutil.rmtree(place)


class _Taker(BaseHTTPRequestHandler):
    """An alert target that accepts everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _taken() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Taker)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def _finish(office: PlayedOffice, archive: Path) -> None:
    """Back up the played office, and put everything in one archive."""
    office.configure(is_played=False)
    (PLACE / "secrets" / "alerts").write_text("json://alerts.willow.invalid/", encoding="utf-8")
    for database in PLACE.rglob("*.db"):
        _make_neutral(database)
    office.pfo("backup", "--to", "backups", "--with-secrets")
    office.pfo("verify")
    for leftover in (*PLACE.rglob("*.lock"), *PLACE.rglob("*.duckdb.wal")):
        leftover.unlink()
    _refuse_names_of_this_machine()
    with (
        lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        tar.add(PLACE, arcname=".", filter=_of_nobody)


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(FIRST.timestamp())
    return entry


def _names_of_this_machine() -> dict[str, str]:
    return {
        str(REPOSITORY): "/srv/program",
        sys.prefix: "/srv/venv",
        sys.base_prefix: "/usr",
        str(Path(sys.executable).resolve().parents[1]): "/usr",
    }


def _make_neutral(database: Path) -> None:
    """Replace paths of this machine in the texts that Dagster stored."""
    with closing(sqlite3.connect(database)) as con:
        tables = [name for (name,) in con.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in con.execute(f"pragma table_info({table})").fetchall():
                if not kind.upper().startswith(("TEXT", "VARCHAR")):
                    continue
                for found, neutral in _names_of_this_machine().items():
                    con.execute(f"update {table} set {column} = replace({column}, ?, ?)", (found, neutral))  # noqa: S608
        con.commit()
        con.execute("vacuum")


def _refuse_names_of_this_machine() -> None:
    found = [
        f"{path}: {name}"
        for path in PLACE.rglob("*")
        if path.is_file()
        for name in (*_names_of_this_machine(), str(Path.home()))
        if name.encode() in path.read_bytes()
    ]
    if found:
        raise AssertionError("\n".join(["what is kept names this machine:", *found]))


def _keep_texts(folder: Path) -> None:
    """Keep the answers, the queries, and the sensors' cursors."""
    with opened(load_config()) as con:
        write_answers(
            folder / "answers.json", {query.name: ask(con, query) for query in read_queries(folder / "queries.sql")}
        )
        _write_json(folder / "relations.json", _relations(con))
    with dg.DagsterInstance.get() as instance:
        runs = {run.run_id: [run.job_name, run.status.value] for run in instance.get_runs()}
        looked = after_sync(dg.build_sensor_context(instance))
        assert isinstance(looked, dg.SensorResult)
        _write_json(folder / "dagster.json", {"runs": runs, "cursors": {"after_sync": looked.cursor}})
    _write_json(folder / "expected_changes.json", {})


def _relations(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, list[str]]]:
    return {"relations": dict(con.execute(RELATIONS).fetchall()), "macros": dict(con.execute(MACROS).fetchall())}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
