"""Worlds from a seed: one domain of any size, with more variety than the demo.

Equal orders give equal worlds. With at least two users, the first account of the first user's first bank is joint: the second
user sees it through another connection. Everyday accounts have purchases that post days later. Consents end on different
days of the next half year, unless somebody renews them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from pfo_pipeline.simulator import domains
from pfo_pipeline.simulator.banking import AccountDraft, open_accounts, open_connection, see_again
from pfo_pipeline.simulator.catalogue import CONNECTORS, TEST_CONNECTOR, CatalogueConnector, precision_of
from pfo_pipeline.simulator.dice import pick
from pfo_pipeline.simulator.domains import create_domain
from pfo_pipeline.simulator.exact_json import JsonObject
from pfo_pipeline.simulator.paris_time import paris_day
from pfo_pipeline.simulator.state import Domain, World, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.sync_engine import move_balance
from pfo_pipeline.simulator.truth import note_figure

BANKS = tuple(connector for connector in CONNECTORS if connector is not TEST_CONNECTOR)
# Type and currency; a frequent pair is listed twice.
KINDS = (
    ("checking", "EUR"),
    ("checking", "EUR"),
    ("savings", "EUR"),
    ("livret_a", "EUR"),
    ("checking", "USD"),
    ("checking", "GBP"),
    ("market", "CHF"),
    ("savings", "JPY"),
    ("checking", "TND"),
    ("market", "BTC"),
    ("lifeinsurance", "EUR"),
    ("loan", "EUR"),
    ("deposit", "SEK"),
    ("capitalisation", "EUR"),
)
LARGEST_UNITS = {"BTC": 100, "JPY": 900_000_000}
FIRST_NAMES = ("Aïcha", "Bertil", "Clémence", "Dagny", "Étienne", "Fiona", "Gwenaël", "Hannelore", "Ines", "Joaquim")
SURNAMES = ("Vauquelin", "Oskarsdóttir", "O'Shaughnessy", "Delacroix-Lemaître", "Nakashimada", "Brzęczyszczykiewicz")
ACCOUNT_NAMES = {"checking": "Compte courant", "savings": "Compte épargne", "loan": "Prêt", "market": "Compte titres"}
EVERYDAY = ("checking", "joint")
COUNTRIES_WITH_IBAN = ("fr", "ch")
OLDEST_DAYS = 20 * 365
LARGEST_WORLD = 10_000


@dataclass(frozen=True)
class Order:
    """Size of a world: connections per member, accounts per connection."""

    domain: str
    seed: int = 0
    members: int = 2
    connections: int = 2
    accounts: int = 3

    def __post_init__(self) -> None:
        for name in ("members", "connections", "accounts"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: a number from 0 on is needed")
        if self.members * self.connections * max(1, self.accounts) > LARGEST_WORLD:
            raise ValueError(f"accounts: no more than {LARGEST_WORLD} in a world")


def populate(world: World, order: Order) -> Domain:
    """Create the domain with all its records.

    Raises:
        ValueError: the domain's name is taken or invalid.
    """
    domain = create_domain(world, order.domain)
    joint: WorldAccount | None = None
    for member in range(order.members):
        user = domains.add_user(world, domain)
        domains.issue_token(world, domain, "permanent", user.id)
        for number in range(order.connections):
            connection = _open(world, domain, user, order, (order.seed, member, number))
            if number == 0 and member == 0 and order.accounts:
                joint = domain.accounts_of(user.id, connection.id)[0]
            elif number == 0 and member == 1 and joint is not None:
                joint.fields["ownership"] = "co-owner"
                see_again(domain, joint, connection, world.clock.now())
    return domain


def keys(domain: Domain) -> JsonObject:
    """A client's credentials, and the ids of the records."""
    kinds = {token.kind: token.value for token in domain.tokens.values()}
    return {
        "domain": domain.name,
        "client_id": domain.client_id,
        "client_secret": domain.client_secret,
        "users_token": kinds["users"],
        "config_token": kinds["config"],
        "users": [_user_keys(domain, user) for user in domain.users.values()],
    }


def _user_keys(domain: Domain, user: WorldUser) -> JsonObject:
    connections = [
        {
            "id": connection.id,
            "source_ids": [source.id for source in connection.sources],
            "account_ids": [account.id for account in domain.accounts_of(user.id, connection.id)],
        }
        for connection in domain.connections_of(user.id)
    ]
    return {"id": user.id, "token": domain.permanent_token(user.id), "connections": connections}


def _open(world: World, domain: Domain, user: WorldUser, order: Order, key: tuple[int, ...]) -> WorldConnection:
    now = world.clock.now()
    # A household has one bank in common, so that two members can see one account.
    member, number = (0, 0) if key[-1] == 0 else key[1:]
    connector = BANKS[pick(0, len(BANKS) - 1, "bank", order.seed, member, number)]
    created = now - timedelta(days=pick(1, 700, "connected", *key), hours=pick(0, 23, "at", *key))
    connection = open_connection(world, domain, user, connector, created=created)
    drafts = [_draft(connector, (*key, number), now) for number in range(order.accounts)]
    # Balances have moved for a week, so that `coming` already has a value.
    for account in open_accounts(world, domain, connection, drafts, since=now - timedelta(days=7)):
        account.buys = account.announces = account.type in EVERYDAY
        if account.last_update is not None:
            move_balance(world, domain, account, paris_day(account.last_update))
        note_figure(account, now)
    return connection


def _draft(connector: CatalogueConnector, key: tuple[int, ...], now: datetime) -> AccountDraft:
    kind, currency = KINDS[pick(0, len(KINDS) - 1, "kind", *key)]
    opened = now - timedelta(days=pick(30, OLDEST_DAYS, "opened", *key))
    holder = f"{_one_of(FIRST_NAMES, 'first name', *key)} {_one_of(SURNAMES, 'surname', *key)}"
    return AccountDraft(
        type=kind,
        name=f"{ACCOUNT_NAMES.get(kind, kind)} {holder}",
        balance=_amount(kind, currency, key),
        currency=currency,
        coming=Decimal(0) if kind in EVERYDAY else None,
        has_iban=kind in EVERYDAY and connector.country in COUNTRIES_WITH_IBAN,
        numbers_as_strings=currency == "BTC",
        fields={"opening_date": paris_day(datetime.combine(opened.date(), time(12), UTC)).isoformat()},
    )


def _amount(kind: str, currency: str, key: tuple[int, ...]) -> Decimal:
    """An amount from one smallest unit to a fortune, each order of magnitude equally likely; loans are negative."""
    precision = precision_of(currency)
    largest = LARGEST_UNITS.get(currency, 20_000_000) * 10**precision
    digits = pick(1, len(str(largest)) - 1, "digits", *key)
    amount = Decimal(pick(1, 10**digits, "amount", *key)).scaleb(-precision)
    owed = kind == "loan" or (kind == "checking" and pick(1, 12, "overdrawn", *key) == 1)
    return -amount if owed else amount


def _one_of(words: tuple[str, ...], *key: object) -> str:
    return words[pick(0, len(words) - 1, *key)]
