"""How old a figure may be: freshness as a contract, with defaults that an office changes in `[freshness]`.

Here: the limits and how they combine. Not here: what is stale now (operations/freshness.py).
Facts: Powens docs: Powens syncs each connection every 24 hours by itself, so three days are two missed syncs and no accident.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ConnectionClass = Literal["consent", "credentials", "paused"]
"""How figures come through a connection: by a consent that ends (the bank's PSD2 interface), by stored credentials, or not by
themselves, since automatic sync is off."""

Hours = Annotated[int, Field(ge=1, le=24 * 366)]


class Freshness(BaseModel):
    """The limits of all tenants. Ages count from the bank's own date of a figure."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    hours: Hours = 72
    """Default for all accounts."""
    account_types: Mapping[str, Hours] = Field(default_factory=dict)
    """Other limits by Powens' account type, shorter or longer."""
    connection_classes: Mapping[ConnectionClass, Hours] = Field(default_factory=dict)
    """Limits by connection (`consent`, `credentials`, `paused`), which can only lengthen."""
    error_budget_percent: Annotated[int, Field(ge=0, le=100)] = 5
    """Share of a tenant's account-days within 30 days that may be stale."""

    def limit(self, account_type: str, connection_class: str | None) -> timedelta:
        """How old the figure of such an account, seen through such a connection, may be."""
        by_type = self.account_types.get(account_type, self.hours)
        by_class = next((hours for name, hours in self.connection_classes.items() if name == connection_class), 0)
        return timedelta(hours=max(by_type, by_class))

    @property
    def longest(self) -> timedelta:
        return timedelta(hours=max([self.hours, *self.account_types.values(), *self.connection_classes.values()]))
