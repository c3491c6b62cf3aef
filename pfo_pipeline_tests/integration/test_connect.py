"""`pfo connect` as a program: from a member without a Powens user to the first balances in the ledger."""

import signal
from pathlib import Path

import pytest

from pfo_pipeline_tests.cli.visiting import CONSENT, new_household, visit
from pfo_pipeline_tests.defs.office import Office
from pfo_pipeline_tests.integration.programs import start


def test_one_command_connects_a_household_and_loads_its_balances(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jane = new_household(office, monkeypatch)
    with start(
        "connect", "--tenant", "smith", "--member", "jane", cwd=tmp_path, output=office.environment()
    ) as program:
        assert program.stdout is not None
        link = program.stdout.readline().strip()
        page = visit(link, CONSENT)
        shown, errors = program.communicate(timeout=120)

    assert page.status_code == 200
    assert program.returncode == 0, shown + errors
    assert "Cash positions" in shown
    assert len(jane.users()) == 1
    assert office.ask("select count(*) > 0 from accounts_latest where user_id = 'jane'") == [(True,)]


def test_an_interrupted_wait_has_no_traceback_and_continues_later(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jane = new_household(office, monkeypatch)
    for ending in (signal.SIGINT, signal.SIGTERM):
        with start(
            "connect", "--tenant", "smith", "--member", "jane", cwd=tmp_path, output=office.environment()
        ) as program:
            assert program.stderr is not None
            while "Waiting at" not in (line := program.stderr.readline()):
                assert line
            program.send_signal(ending)
            _, errors = program.communicate(timeout=60)
        assert program.returncode != 0
        assert "Traceback" not in errors
    assert len(jane.users()) == 1
