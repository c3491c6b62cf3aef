"""A new ledger without a load. The product makes it once for each office; tests get copies, because creation takes longer than
most of them.
"""

import atexit
import shutil
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.store import Ledger

CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)
"""Before the first load of every test."""


def begin_ledger(data_dir: Path, office: str) -> None:
    """Put a new ledger of the office below `data_dir`, unless there is a ledger or a file in its place."""
    if not LedgerFiles(data_dir).private.exists():
        shutil.copytree(_made(office), data_dir, dirs_exist_ok=True)


@cache
def _made(office: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pfo-new-ledger-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Ledger(LedgerFiles(folder / "data"), office, clock=lambda: CREATED_AT).reader().tenants()
    return folder / "data"
