"""The context of a command: its configuration, its data folder, and the environment of its child processes."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pfo_pipeline.config import (
    CONFIG_VARIABLE,
    DATA_DIR_VARIABLE,
    Config,
    ConfigError,
    config_path,
    data_dir,
    load_config,
    role_of_process,
)
from pfo_pipeline.contracts.model import Role
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.office import ledger_of, opened
from pfo_pipeline.ledger.reader import Reader, open_published
from pfo_pipeline.operations.access import OperationRefused

if TYPE_CHECKING:
    from pfo_pipeline.ledger.store import Ledger


_DAGSTER_SETTINGS = Path(__file__).with_name("dagster.yaml")
_OTHER_DATA_DIR = "Set PFO_DATA_DIR, or data_dir in the configuration, to a folder that this account may write."

DEMO_OFFICE = "demo"
_OTHER_HOME = "Free the disk if it is full, or set DAGSTER_HOME to a folder that this account may write."


class PlaceError(PfoError):
    """The data folder or Dagster's home cannot be used."""


@dataclass(frozen=True)
class Place:
    """Configuration and data folder of a command; `config` is None in the demonstration, until `working` makes one."""

    config: Config | None
    data_dir: Path
    is_demonstration: bool
    connection: duckdb.DuckDBPyConnection | None = None
    """To the published ledger, while it is read at once."""

    def configured(self) -> Config:
        """Raises: ConfigError: nothing is configured, and the command is not for the demonstration."""
        if self.config is None:
            raise ConfigError(
                "Nothing is configured: this is the demonstration, which has no such thing. Copy pfo.example.toml to "
                f"{config_path()}, or name a configuration in {CONFIG_VARIABLE}."
            )
        return self.config

    @property
    def office(self) -> str:
        return self.config.office if self.config else DEMO_OFFICE

    @property
    def files(self) -> LedgerFiles:
        return LedgerFiles(self.data_dir)

    @property
    def role(self) -> Role:
        return role_of_process()

    @property
    def reader(self) -> Reader:
        """Each read raises: SecretError, LedgerError."""
        return Reader(self.opened)

    def opened(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """The published ledger, read-only. Raises: SecretError; LedgerError when it is entered."""
        if self.connection is not None:
            return nullcontext(self.connection)
        return opened(self.config) if self.config else open_published(self.files.published)

    @contextmanager
    def at_once(self) -> Iterator["Place"]:
        """The same place with one connection to the published ledger for several reads. Raises: as `opened`."""
        with self.opened() as con:
            yield replace(self, connection=con)

    @property
    def ledger(self) -> "Ledger":
        """The writing side. Raises: SecretError."""
        from pfo_pipeline.ledger.store import Ledger  # Readers need not import it.

        return ledger_of(self.config) if self.config else Ledger(self.files, DEMO_OFFICE)

    @property
    def dagster_home(self) -> Path:
        return Path(os.environ.get("DAGSTER_HOME") or self.data_dir / "dagster").absolute()

    @property
    def history_lock(self) -> Path:
        """Held by programs while they make or change Dagster's storage."""
        return self.files.private / "dagster.lock"

    def known_tenants(self) -> Iterator[str]:
        """The configured tenants, and those that the ledger has. Raises: SecretError, LedgerError."""
        yield from (tenant.id for tenant in self.config.tenants) if self.config else ()
        yield from self.reader.tenants() if self.files.published.exists() else ()

    def known_users(self, tenant_id: str) -> Iterator[str]:
        """The configured users of a tenant, and those that the ledger has. Raises: SecretError, LedgerError."""
        tenant = self.config.by_id.get(tenant_id) if self.config else None
        yield from (user.id for user in tenant.users) if tenant else ()
        yield from (u.user_id for u in self.reader.users(tenant_id)) if self.files.published.exists() else ()


def require_admin(why: str) -> None:
    """Raises: OperationRefused: this process acts as another role; `why` begins the message."""
    if role_of_process() != "admin":
        raise OperationRefused(f"{why}, so it needs role admin (PFO_ROLE).")


def serving_lock(data_dir: Path) -> Path:
    """Held by `pfo dev` while it runs: one Dagster at a time works on a data folder."""
    return LedgerFiles(data_dir).private / "serving.lock"


def find_place() -> Place:
    """
    Raises:
        ConfigError: there is a configuration, and it has mistakes; or the role is none.
        PlaceError: the data folder is not a folder, or a folder has the name of the ledger.
    """
    role_of_process()  # Refused at once, and by every command.
    is_demonstration = not os.environ.get(CONFIG_VARIABLE) and not config_path().exists()
    return place_of(None if is_demonstration else load_config())


def place_of(config: Config | None) -> Place:
    """Where a configuration has its data; None is the demonstration. Raises: PlaceError: as `find_place`."""
    folder = data_dir(config)
    _refuse_other_than_folder(folder)
    place = Place(config, folder, is_demonstration=config is None)
    if place.files.published.is_dir():
        raise PlaceError(f"{place.files.published} is a folder, in the ledger's place. Move it away and run `pfo run`.")
    return place


def _refuse_other_than_folder(path: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return  # The first run makes it.
    except OSError as error:
        raise PlaceError(f"{path} cannot be the data folder: {error.strerror}. {_OTHER_DATA_DIR}") from None
    if not is_folder:
        raise PlaceError(f"{path} cannot be the data folder: it is a file. {_OTHER_DATA_DIR}")


@contextmanager
def working(place: Place) -> Iterator[Place]:
    """A place with a configuration: its own, or the demonstration's, with the simulated bank running meanwhile.

    The environment then tells Dagster and every child process where everything is.

    Raises: PlaceError: nothing can be written there.
    """
    prepare(place)
    if place.config is not None:
        _tell_children(place, place.config)
        yield place
        return
    from pfo_pipeline.cli.demo import simulated_bank

    with simulated_bank() as config_file:
        os.environ[CONFIG_VARIABLE] = str(config_file)
        config = load_config()
        _tell_children(place, config)
        yield replace(place, config=config)


def prepare(place: Place) -> None:
    """Make the data folder and Dagster's home, with its settings, where they are not there; the home for this account alone.

    Raises: PlaceError: nothing can be written there.
    """
    home = place.dagster_home
    _make_writable(place.data_dir, _OTHER_DATA_DIR)
    _make_writable(home, _OTHER_HOME, mode=0o700)
    if home.is_relative_to(place.data_dir):
        home.chmod(0o700)  # In a fresh clone everybody may read it; logs of runs are for this account.
    if not (home / "dagster.yaml").exists():
        _copy_settings(home)


def _make_writable(folder: Path, remedy: str, mode: int = 0o755) -> None:
    """Make the folder if it is not there. Whatever the umask, other accounts may not put files into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PlaceError(f"{folder} cannot be written: {error.strerror}. {remedy}") from None


def _tell_children(place: Place, config: Config) -> None:
    os.environ[CONFIG_VARIABLE] = str(config.source)
    os.environ[DATA_DIR_VARIABLE] = str(place.data_dir)
    os.environ["DAGSTER_HOME"] = str(place.dagster_home)


def _copy_settings(home: Path) -> None:
    """In one step: half of them, as a full disk leaves it, would be taken for the operator's own."""
    draft = home / f".dagster.yaml.{os.getpid()}"
    try:
        shutil.copyfile(_DAGSTER_SETTINGS, draft)
        draft.replace(home / "dagster.yaml")
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise PlaceError(f"{home / 'dagster.yaml'} cannot be written: {error.strerror}. {_OTHER_HOME}") from None


def select_tenants(place: Place, wanted: tuple[str, ...]) -> list[str]:
    """The tenants that a read is for: those named, else all that the ledger has.

    Raises: ConfigError: a name that the ledger does not have.
    """
    present = place.reader.tenants()
    unknown = [tenant for tenant in wanted if tenant not in present]
    if unknown:
        raise ConfigError(f"The ledger has no tenant {unknown[0]!r}. It has: {', '.join(present) or 'none yet'}.")
    return list(wanted) or present
