"""Files of pages: replaced atomically, named in errors, deleted with their tenant."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pfo_pipeline.report.output import PageNotWritten, page_path, pages_folder, remove_pages, write_page


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = page_path(tmp_path, "smith")
    write_page(path, "one", mode=0o444)
    with path.open(encoding="utf-8") as before:
        write_page(path, "twö", mode=0o444)
        assert before.read() == "one"

    assert path.read_text(encoding="utf-8") == "twö"
    assert [p.name for p in path.parent.iterdir()] == ["smith.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = page_path(tmp_path, "smith")
    write_page(path, "old", mode=0o444)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(PageNotWritten, match=r"smith\.html cannot be written: No space left on device\. Free the disk"):
        write_page(path, "new", mode=0o444)

    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["smith.html"]


def test_a_draft_does_not_outlive_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "page.html", "text", mode=0o600)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "put_there",
    [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("file")],
    ids=["a folder", "a device", "a link, as /dev/stdout is one"],
)
def test_only_a_regular_file_is_replaced(tmp_path: Path, put_there: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("somebody's")
    put_there(tmp_path / "page.html")
    before = (tmp_path / "page.html").lstat()

    with pytest.raises(PageNotWritten, match=r"page\.html cannot be written: a folder, a link or a device is there"):
        write_page(tmp_path / "page.html", "text", mode=0o600)

    assert (tmp_path / "page.html").lstat() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "page.html"]
    assert (tmp_path / "file").read_text() == "somebody's"


def test_pages_of_a_tenant_are_removed_and_others_stay(tmp_path: Path) -> None:
    for tenant in ("smith", "smith-jones", "jones"):
        write_page(page_path(tmp_path, tenant), tenant, mode=0o444)
    (pages_folder(tmp_path) / ".smith.html.abc123").write_text("a draft that a crash left")

    assert remove_pages(tmp_path, ["smith", "nobody"]) == [page_path(tmp_path, "smith")]
    assert sorted(p.name for p in pages_folder(tmp_path).iterdir()) == ["jones.html", "smith-jones.html"]
    assert len(remove_pages(tmp_path)) == 2
    assert remove_pages(tmp_path / "nowhere") == []
