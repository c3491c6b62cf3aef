"""The files of cash pages: beside the published ledger, replaced atomically, with the same read permissions."""

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pfo_pipeline.errors import PfoError

PUBLIC_MODE = 0o444
"""For the page of a tenant: everybody who may read the published ledger may read it."""


class PageNotWritten(PfoError):
    """A page cannot be written: the disk is full or refuses it."""


class PageNotRemoved(PfoError):
    """An outdated page could not be deleted."""


def pages_folder(data_dir: Path) -> Path:
    return data_dir / "reports"


def page_path(data_dir: Path, tenant_id: str) -> Path:
    return pages_folder(data_dir) / f"{tenant_id}.html"


def write_page(path: Path, html: str, *, mode: int) -> None:
    """Write a page by one rename: readers see the old one or the new one.

    Two concurrent writes do no harm: the later one stays.
    Raises: PageNotWritten: the old page stays.
    """
    if not _may_be_replaced(path):
        raise PageNotWritten(
            f"{path} cannot be written: a folder, a link or a device is there, which a page does not replace. Name "
            "another place."
        )
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            draft = Path(file.name)
            file.write(html.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(mode)
        draft.replace(path)
    except OSError as error:
        raise PageNotWritten(
            f"{path} cannot be written: {error.strerror or error}. Free the disk, or name another place, and run again; "
            "the ledger is as it was."
        ) from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _may_be_replaced(path: Path) -> bool:
    """Whether a rename would replace only a regular file: as root, a rename onto `/dev/stdout` would remove it."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return True  # Nothing exists, or writing will report the obstacle.


def remove_pages(data_dir: Path, tenant_ids: Iterable[str] | None = None) -> list[Path]:
    """Delete the pages of these tenants, or all pages, and drafts that a crash left. Returns the deleted pages.

    Raises: PageNotRemoved.
    """
    folder = pages_folder(data_dir)
    wanted = ["*"] if tenant_ids is None else list(tenant_ids)
    pages = sorted(path for name in wanted for path in folder.glob(f"{name}.html"))
    for path in (*pages, *(draft for name in wanted for draft in folder.glob(f".{name}.html.*"))):
        try:
            path.unlink()
        except OSError as error:
            raise PageNotRemoved(f"{path} cannot be removed: {error.strerror or error}. Delete it yourself.") from None
    return pages
