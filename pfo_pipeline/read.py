"""The published ledger for Python programs and notebooks: pandas or Arrow, decimals and time zones intact.

    from pfo_pipeline.read import Published

    ledger = Published("data/ledger.duckdb")
    ledger.positions(tenant="martin")
    ledger.cash(as_of=date(2026, 6, 30))
    ledger.frame("select currency, sum(current_balance) from positions group by all")

A date means the end of that day in each tenant's own time zone. Each call opens the file, runs its query and closes the file,
so the next call sees a newer publication, and no other process has to wait.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.reader import open_published

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_ALWAYS = datetime.max.replace(tzinfo=UTC)


class ReadError(PfoError):
    """A query that the ledger cannot answer."""


class Published:
    """A published ledger. Frames are Arrow-backed: amounts are `decimal128(38, 10)`, times `timestamp[us, tz=UTC]`.

    Every method raises LedgerError if the file is missing, damaged or newer than this program, or if its key is refused.
    """

    def __init__(self, path: str | Path, *, key: str | None = None) -> None:
        """
        Args:
            key: The encryption key of the file; None for a plain one.
        """
        self._path = Path(path)
        self._key = key

    def positions(self, *, tenant: str | None = None) -> "pd.DataFrame":
        """Each enabled account with its newest balance. `tenant`, here and below: only this tenant."""
        return self._of_tenant("positions", tenant, {})

    def totals(self, *, tenant: str | None = None) -> "pd.DataFrame":
        """The newest total of each tenant and currency; never added up across currencies."""
        return self._of_tenant("totals", tenant, {})

    def accounts(self, *, tenant: str | None = None, known_at: date | None = None) -> "pd.DataFrame":
        """Every linked account, including hidden ones, as it is known now, or was at `known_at`.

        Raises: ReadError: the time has no time zone.
        """
        return self._of_tenant("accounts_as_of($known_at)", tenant, {"known_at": _moment("known_at", known_at)})

    def balances(
        self, *, tenant: str | None = None, as_of: date | None = None, known_at: date | None = None
    ) -> "pd.DataFrame":
        """The last balance of each account up to `as_of`, as it was known at `known_at`. None means the newest; a date means
        the end of
        that day in the tenant's time zone.

        Raises: ReadError: a time has no time zone.
        """
        return self._of_tenant("balances_as_of($as_of, known_at := $known_at)", tenant, _moments(as_of, known_at))

    def cash(
        self, *, tenant: str | None = None, as_of: date | None = None, known_at: date | None = None
    ) -> "pd.DataFrame":
        """The cash in each currency, with the same arguments as `balances`."""
        return self._of_tenant("cash_position($as_of, known_at := $known_at)", tenant, _moments(as_of, known_at))

    def frame(self, query: str, parameters: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """The result of any query, with the schema `ledger` selected. Raises: ReadError: DuckDB refuses the query."""
        import pandas as pd  # imported late: only frames need it

        return self.table(query, parameters).to_pandas(types_mapper=pd.ArrowDtype)

    def table(self, query: str, parameters: Mapping[str, Any] | None = None) -> "pa.Table":
        """The same as an Arrow table."""
        with open_published(self._path, key=self._key) as con:
            try:
                return con.execute(query, dict(parameters) if parameters else None).to_arrow_table()
            except duckdb.Error as error:
                raise ReadError(str(error)) from None

    def _of_tenant(self, relation: str, tenant: str | None, parameters: Mapping[str, Any]) -> "pd.DataFrame":
        query = f"from {relation} where $tenant is null or tenant_id = $tenant"
        return self.frame(query, {**parameters, "tenant": tenant})


def _moments(as_of: date | None, known_at: date | None) -> dict[str, date]:
    return {"as_of": _moment("as_of", as_of), "known_at": _moment("known_at", known_at)}


def _moment(name: str, moment: date | None) -> date:
    """Check the time zone. A date stays a date: the macros know when the day ends."""
    if moment is None:
        return _ALWAYS
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise ReadError(
            f"{name}: {moment} has no time zone; give one, such as datetime(2026, 6, 30, 22, tzinfo=UTC); or a date."
        )
    return moment
