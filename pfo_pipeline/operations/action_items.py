"""Action items: what a person, Powens or a bank must do, and by which command or link. Computed here for every surface.

A user that could not be read and a connection with an error have one item each. The other items are about accounts whose
connection is healthy: missing accounts, a bank that shares no account, records that cannot be read, accounts without a
balance, accounts that may count wrongly, and accounts that count differently than before, until a person has acknowledged
the change. They are one item for each connection and reason, for any number of accounts. A user who is no longer configured
is one item, because their connections are no longer read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from typing import Literal
from urllib.parse import urlsplit

from pfo_pipeline.contracts.operations import Freshness
from pfo_pipeline.ledger.reader import ALWAYS, Reader
from pfo_pipeline.powens.states import waiting_is_enough
from pfo_pipeline.redaction import scrub


@dataclass(frozen=True, slots=True)
class ActionItem:
    """Something that a named person, Powens or a bank must do."""

    tenant_id: str
    subject: Literal["user", "connection", "accounts"]
    thing: str
    """The id of the item within the tenant and subject: of a user, of a connection, or of a connection with the reason."""
    user_id: str
    connection_id: str | None
    """None for a user."""
    institution_name: str | None
    """None for a user."""
    code: str
    """Of a user or connection: its error or state. Of accounts: missing, noAccount, proposed, oneOf, unclassified, changed,
    quarantined, noBalance, or a Powens error of single accounts."""
    why: str
    who_acts: str
    """member, operator, bank or powens; nobody if the pipeline tries again by itself."""
    remedy: str
    link: str | None
    """The page where a member acts, without an access code."""
    next_try_at: datetime | None
    is_critical: bool

    @property
    def needs_person(self) -> bool:
        """Whether a member or an operator must act. Otherwise the pipeline tries again, and nobody has to do anything."""
        return not waiting_is_enough(self.who_acts)


def find_action_items(
    reader: Reader, tenant_ids: Sequence[str], limits: Freshness, now: datetime, *, known_at: datetime = ALWAYS
) -> list[ActionItem]:
    """Return the open action items of these tenants: of users, then of connections, then of accounts.

    Args:
        limits: How old a balance may be; an account may be without a balance for the same time.
        known_at: What the ledger had recorded by then.
    Raises: LedgerError.
    """
    parameters = {
        "tenants": list(tenant_ids),
        "known_at": known_at,
        "now": now,
        "hours": limits.hours,
        "types": list(limits.account_types),
        "type_hours": list(limits.account_types.values()),
        "classes": list(limits.connection_classes),
        "class_hours": list(limits.connection_classes.values()),
    }
    query = files("pfo_pipeline.operations").joinpath("action_items.sql").read_text(encoding="utf-8")
    return [_fit_to_show(item) for item in reader.typed(ActionItem, query, parameters)]


def _fit_to_show(item: ActionItem) -> ActionItem:
    """Mask what a remedy from outside may hold. One about accounts is our own text, with ids that its commands need."""
    remedy = item.remedy if item.subject == "accounts" else scrub(item.remedy)
    return replace(item, remedy=remedy, link=_web_address(item.link))


def _web_address(link: str | None) -> str | None:
    """Return the link if a browser may follow it; any other text on a page could be a program."""
    if link is None or any(letter.isspace() or not letter.isprintable() for letter in link):
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in ("http", "https") and parts.netloc else None
