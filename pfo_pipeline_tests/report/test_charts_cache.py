"""The common parts of all pages are made once, and only read from a file of this user."""

import os
from pathlib import Path

import pytest

from pfo_pipeline.report.charts import kept


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pfo"


def never() -> str:
    raise AssertionError("made again")


def test_it_is_made_once_and_kept_for_this_user_only(folder: Path) -> None:
    assert kept("libraries-1.js", lambda: "vega(\u00e9)") == "vega(\u00e9)"
    assert kept("libraries-1.js", never) == "vega(\u00e9)"
    assert kept("libraries-2.js", lambda: "newer") == "newer"

    assert sorted(path.name for path in folder.iterdir()) == ["libraries-1.js", "libraries-2.js"]
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


def test_a_file_that_others_could_write_is_not_used(folder: Path, tmp_path: Path) -> None:
    kept("a.js", lambda: "ours")
    (folder / "a.js").chmod(0o666)
    assert kept("a.js", lambda: "made again") == "made again"

    (tmp_path / "theirs.js").write_text("evil")
    (folder / "b.js").symlink_to(tmp_path / "theirs.js")
    assert kept("b.js", lambda: "ours") == "ours"
    assert (tmp_path / "theirs.js").read_text() == "evil"


def test_a_garbled_file_is_made_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.js").write_bytes(b"\xff\xfe")

    assert kept("a.js", lambda: "whole") == "whole"
    assert kept("a.js", never) == "whole"


@pytest.mark.parametrize("where", ["relative", os.devnull, "/proc/nowhere"])
def test_without_a_cache_folder_it_is_made_each_time(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", where)

    assert [kept("a.js", lambda: "one"), kept("a.js", lambda: "two")] == ["one", "two"]
