"""The minimum cost of a publication: the same number of bytes copied and synced to disk."""

import os
import shutil
from pathlib import Path

from benchmarks.work import Work


def prepare(source: str) -> Work:
    target = Path(source).with_suffix(".copy")

    def run() -> None:
        shutil.copyfile(source, target)
        with target.open("rb") as copied:
            os.fsync(copied.fileno())

    def facts() -> dict[str, int]:
        size = target.stat().st_size
        target.unlink()
        return {"bytes": size}

    return Work(run, facts)
