"""What is the same for every page and costs a second and a tenth of a gigabyte to make, kept for the next process.

In the account's own cache folder, as the XDG base directory specification has it; who may not write there makes it each time.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path


def kept(name: str, make: Callable[[], str]) -> str:
    """What `make` made once under this name, which must tell it from whatever another version makes.

    It ends up as a script in pages, so it is taken from a file of this account alone that nobody else may write.
    """
    file = _folder() / name
    try:
        found = file.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        pass  # Not there yet, or of no use.
    made = make()
    _keep(file, made)
    return made


def _folder() -> Path:
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (told if told.is_absolute() else Path.home() / ".cache") / "pfo"
    except RuntimeError:  # There is no home.
        return Path(os.devnull)


def _keep(file: Path, text: str) -> None:
    """By one rename, so that nobody reads half of it. That it cannot be kept is no failure."""
    draft = None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, encoding="utf-8", delete=False) as written:
            draft = Path(written.name)
            written.write(text)
        draft.replace(file)
    except OSError:
        if draft is not None:
            draft.unlink(missing_ok=True)
