"""The judge can fail: damage a correct ledger, alert or log in each possible way."""

import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import duckdb
import pytest

from pfo_pipeline.alerts.notify import ALERTS
from pfo_pipeline_tests.simulation.judge import compared
from pfo_pipeline_tests.simulation.plan import draw
from pfo_pipeline_tests.simulation.play import Played
from pfo_pipeline_tests.simulation.seeds import half_year

# The first half-year that contains something of each kind to damage.
_WANTED = (
    "an account is closed",
    "a currency changes",
    "a bank is added again and tells less",
    "a token is revoked",
    "a consent will end",
    "posts meet",
    "state",
)
DAMAGES = {
    "a figure is lost": "delete from balances where rowid = 3",
    "a figure is there twice": "insert into balances from balances where rowid = 3",
    "a figure is a cent off": "update balances set current_balance = current_balance + 0.01 where rowid = 3",
    "the last digit is gone": "update balances set current_balance = current_balance + 0.0000000001 where rowid = 3",
    "a figure has another date": "update balances set as_of = as_of + interval 1 second where rowid = 3",
    "a figure has another currency": "update balances set currency = 'XXX' where rowid = 3",
    "an account is lost": "delete from accounts where rowid = 1",
    "an account's end is lost": "delete from accounts where deleted_at is not null",
    "an account has another name": "update accounts set display_name = 'Nobody' where rowid = 1",
    "two accounts are made one": """
        insert into identities by name
        select tenant_id, account_id, (select min(account_id) from accounts) as same_as, 'iban' as evidence,
            'evidence' as decided_by, load_id, recorded_at, run_id, operation
        from accounts where account_id = (select max(account_id) from accounts) limit 1
    """,
    "a proposal is hidden": "delete from account_proposals",
    "what was put aside is hidden": "delete from quarantine",
    "a troubled connection looks healthy": "update connections set status = 'healthy', state = null where status <> 'healthy'",
    "a connection's trouble is nobody's": "update connections set who_acts = null where status <> 'healthy'",
    "a healthy connection looks troubled": "update connections set status = 'silent' where status = 'healthy'",
    "a member who could not be read looks well": "update users set status = 'ok'",
    "failures are not counted": "update loads set failed = 0",
    "a name is in the telemetry": """
        update telemetry set properties = json_object('error', (select display_name from accounts limit 1))
    """,
    "a second reading wrote rows": "update loads set added = 1 where load_id = (select max(load_id) from loads)",
    "the newest balances are old": "update balances_current set current_balance = current_balance + 1 where rowid = 1",
}


@pytest.fixture(scope="module")
def over(workplace: Path) -> Iterator[Played]:
    seed = next(seed for seed in count() if _has_everything(seed))
    with half_year(seed, workplace) as played:
        yield played


def test_a_correct_ledger_has_no_findings(over: Played) -> None:
    assert compared(over, over.ledger.files.published) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_found(damage: str, over: Played, tmp_path: Path) -> None:
    copy = tmp_path / "damaged.duckdb"
    shutil.copyfile(over.ledger.files.published, copy)
    with duckdb.connect(str(copy)) as con:
        con.execute("use damaged.ledger")
        changed = con.execute(DAMAGES[damage]).fetchall()
    assert changed[0][0] > 0, "the damage hits nothing: choose another seed"

    assert compared(over, copy) != []


def test_missing_alerts_are_found(over: Played) -> None:
    alerts = over.ledger.files.data_dir / ALERTS
    text = alerts.read_text("utf-8")
    told = [json.loads(line) for line in text.splitlines()]
    for kind in {"run", "consent"} & {line["kind"] for line in told}:
        alerts.write_text("".join(json.dumps(line) + "\n" for line in told if line["kind"] != kind), "utf-8")
        try:
            assert compared(over, over.ledger.files.published) != []
        finally:
            alerts.write_text(text, "utf-8")

    assert "consent" in {line["kind"] for line in told}


def test_a_secret_in_a_log_is_found(over: Played) -> None:
    for secret in (next(iter(over.plan.secrets)), next(iter(over.world.tokens))):
        over.said.append(f"GET /users/me/accounts: {secret}")

        assert compared(over, over.ledger.files.published) != []

        over.said.pop()


def test_a_lost_event_is_found(over: Played) -> None:
    kept = over.posting.posted.pop()
    over.posting.posted.append(type(kept)(kept.what, kept.expected, kept.kept + 1))

    assert compared(over, over.ledger.files.published) != []
    over.posting.posted[-1] = kept


def _has_everything(seed: int) -> bool:
    happens = [event.what for event in draw(seed).events]
    return all(any(what.startswith(wanted) for what in happens) for wanted in _WANTED)
