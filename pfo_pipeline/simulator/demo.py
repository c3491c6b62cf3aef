"""The demo world: three different tenants, all fictitious.

Balances begin on 2026-01-01 and have moved every day since, so that two starts on one day agree.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from pfo_pipeline.simulator import domains
from pfo_pipeline.simulator.admin_records import find
from pfo_pipeline.simulator.auth_flow import form_fields
from pfo_pipeline.simulator.banking import AccountDraft, french_iban, loan_object, open_accounts, open_connection
from pfo_pipeline.simulator.dice import secret
from pfo_pipeline.simulator.domains import create_domain
from pfo_pipeline.simulator.paris_time import last_daily, paris_day
from pfo_pipeline.simulator.state import Domain, World, WorldAccount, WorldConnection, WorldUser
from pfo_pipeline.simulator.sync_engine import move_balance, set_state
from pfo_pipeline.simulator.truth import note_figure

REDIRECT_URI = "http://127.0.0.1:8765/callback"
OPENING = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class DemoUser:
    """A member of a household; `key` is the id in the pipeline's configuration."""

    key: str
    name: str
    powens_id: int


@dataclass(frozen=True)
class DemoTenant:
    """A household with its own domain."""

    key: str
    name: str
    domain: str
    client_id: str
    members: tuple[DemoUser, ...]


@dataclass(frozen=True)
class Link:
    """A connection of a member. `frozen_days` is the time since it last worked."""

    connector: str
    created: date
    accounts: list[AccountDraft] = field(default_factory=list)
    state: str | None = None
    error_message: str | None = None
    frozen_days: int = 0
    stuck: bool = False
    failing_source: str | None = None


TENANTS = (
    DemoTenant(
        "martin",
        "Martin household",
        "martin-sandbox",
        "10000001",
        (DemoUser("claire", "Claire Martin", 731), DemoUser("paul", "Paul Martin", 732)),
    ),
    DemoTenant(
        "lindqvist",
        "Lindqvist family",
        "lindqvist-sandbox",
        "10000002",
        (DemoUser("astrid", "Astrid Lindqvist", 731), DemoUser("nils", "Nils Lindqvist", 732)),
    ),
    DemoTenant(
        "moreau",
        "Moreau household",
        "moreau-sandbox",
        "10000003",
        (DemoUser("helene", "Hélène Moreau", 731),),
    ),
)


def populate(world: World) -> None:
    """Fill an empty world with the three tenants."""
    links = {
        ("martin", "claire"): _claire(),
        ("martin", "paul"): _paul(),
        ("lindqvist", "astrid"): _astrid(),
        ("lindqvist", "nils"): _nils(),
        ("moreau", "helene"): _helene(world),
    }
    for tenant in TENANTS:
        client_secret = secret(world.seed, tenant.domain, "client secret")
        domain = create_domain(world, tenant.domain, client_id=tenant.client_id, client_secret=client_secret)
        domain.settings.redirect_uris = (REDIRECT_URI,)
        for member in tenant.members:
            user = domains.add_user(world, domain)
            user.signin = OPENING
            domains.issue_token(world, domain, "permanent", user.id)
            for link in links[tenant.key, member.key]:
                _open(world, domain, user, link)


def member_token(domain: Domain, member: DemoUser) -> str:
    """The permanent token of a member."""
    for token in domain.tokens.values():
        if token.kind == "permanent" and token.id_user == member.powens_id:
            return token.value
    raise KeyError(member.key)


def _open(world: World, domain: Domain, user: WorldUser, link: Link) -> None:
    created = datetime.combine(link.created, datetime.min.time(), UTC) + timedelta(hours=9, minutes=14)
    connection = open_connection(world, domain, user, find(domain, link.connector), created=created)
    now = world.clock.now()
    if link.state is not None:
        connection.error_message = link.error_message
        set_state(connection, link.state, now)
        connection.fields = form_fields(link.state)
    if link.state == "SCARequired":
        connection.expire = last_daily(connection.sync_time, now) - timedelta(days=link.frozen_days)
    if link.stuck:
        connection.next_try = None
    synced = last_daily(connection.sync_time, now) - timedelta(days=link.frozen_days)
    connection.last_update, connection.last_push = synced, synced + timedelta(seconds=7)
    for source in connection.sources:
        source.last_update, source.expire, source.next_try = synced, connection.expire, connection.next_try
        if source.name == link.failing_source:
            source.state, source.error_message = "bug", "Unexpected page at the bank"
            source.last_update = synced - timedelta(days=5)
    for account in open_accounts(world, domain, connection, link.accounts, since=OPENING):
        _catch_up(world, domain, connection, account)


def _catch_up(world: World, domain: Domain, connection: WorldConnection, account: WorldAccount) -> None:
    if account.deleted is None and account.known and connection.last_update is not None:
        account.last_update = connection.last_update - timedelta(seconds=1)
    until = account.last_update or connection.last_update
    if until is not None:
        move_balance(world, domain, account, paris_day(until))
    note_figure(account, world.clock.now())


def _claire() -> list[Link]:
    return [
        Link(
            "Banque Exemple",
            date(2025, 9, 4),
            [
                _account("checking", "Compte courant", "4821.37", has_iban=True, coming=Decimal("-89.9")),
                _account("card", "Carte Visa", "0", coming=Decimal("-312.4"), parent=0),
                _account("livret_a", "Livret A", "22950"),
                _account("ldds", "LDDS", "12000"),
                _joint_account(),
            ],
        ),
        Link(
            "Caisse des Tilleuls",
            date(2026, 2, 12),
            [
                _account("savings", "Compte épargne", "18640.55"),
                _account("loan", "Prêt travaux", "-24150.33", fields={"loan": _works_loan()}),
            ],
        ),
    ]


def _paul() -> list[Link]:
    return [
        Link(
            "Crédit des Deux Rives",
            date(2025, 11, 20),
            [
                _account("checking", "Compte chèque", "2104.6", has_iban=True),
                _account("livret_a", "Livret A", "15300.41"),
            ],
        ),
        # The couple's joint account again, through Paul's own login.
        Link(
            "Banque Exemple",
            date(2025, 9, 6),
            [
                _joint_account(),
                _account("checking", "Compte courant", "987.12", has_iban=True),
            ],
        ),
    ]


def _astrid() -> list[Link]:
    return [
        Link(
            "Banque Meunier & Fils",
            date(2025, 3, 3),
            [
                _account("checking", "Compte euros", "1284551.07", has_iban=True),
                _account("checking", "Compte dollars", "4820113.36", currency="USD"),
                _account("market", "Compte titres", "7412880.64", fields=_holdings("7412880.64", "812044.19")),
                _account("pea", "PEA", "149320.77", fields=_holdings("149320.77", "31870.12")),
                _account("lifeinsurance", "Assurance vie", "2650000", fields=_holdings("2650000", "250000")),
            ],
        ),
        Link(
            "Rhonequell Privatbank",
            date(2025, 5, 19),
            [
                _account("checking", "Kontokorrent", "912400.25", currency="CHF", has_iban=True),
                _account("checking", "Yen account", "182340500", currency="JPY"),
                _account("market", "Wertschriftendepot", "11204310.9", currency="CHF"),
            ],
        ),
    ]


def _nils() -> list[Link]:
    return [
        Link("Harbour & Vale", date(2025, 6, 2), [_account("checking", "Current account", "88210.44", currency="GBP")]),
        Link("Larchwood Trust", date(2025, 6, 3), [_account("checking", "Checking", "15034.18", currency="USD")]),
        Link(
            "Banque du Jasmin", date(2025, 8, 25), [_account("checking", "Compte courant", "48210.375", currency="TND")]
        ),
        Link(
            "Hashmeadow Exchange",
            date(2026, 1, 14),
            [_account("market", "Wallet", "12.34567891", currency="BTC", numbers_as_strings=True)],
        ),
    ]


def _helene(world: World) -> list[Link]:
    login_secret = secret(world.seed, "moreau-sandbox", "bank login")
    login = f"https://login.banque-exemple.invalid/sca?token={login_secret.replace('/', '-').replace('+', '_')}"
    return [
        Link(
            "Banque Exemple",
            date(2025, 10, 1),
            [
                _account("checking", "Compte courant", "3120.88", has_iban=True),
                _account("checking", "Compte association", None, currency=None, fields={"usage": None}),
                _account("checking", "Ancien compte", "12.5", has_iban=True, deleted_days_ago=40, moves=False),
                _account("savings", "Épargne oubliée", "740.1", disabled=True),
                _account("green_pocket", "Poche verte", "310.07"),
            ],
        ),
        Link(
            "Banque Exemple",
            date(2026, 2, 2),
            [_account("checking", "Compte SCI", "15480", has_iban=True)],
            state="SCARequired",
            error_message=f"Redirecting to {login}",
            frozen_days=9,
        ),
        Link(
            "Caisse des Tilleuls",
            date(2026, 1, 20),
            [_account("savings", "Compte épargne", "5210.33")],
            state="websiteUnavailable",
            error_message="Le site de la banque est indisponible.",
            frozen_days=1,
        ),
        Link(
            "Crédit des Deux Rives",
            date(2025, 12, 11),
            [_account("checking", "Compte chèque", "640.2", has_iban=True)],
            state="wrongpass",
            error_message="Identifiant ou code incorrect.",
            frozen_days=23,
        ),
        Link(
            "Banque Meunier & Fils",
            date(2025, 9, 30),
            [_account("lifeinsurance", "Assurance vie", "48120.4")],
            frozen_days=12,
            stuck=True,
        ),
        Link(
            "Crédit des Deux Rives",
            date(2026, 2, 17),
            [
                _account("checking", "Compte courant", "1999.99", has_iban=True),
                _account("livret_a", "Livret A", "8200"),
            ],
            failing_source="directaccess",
        ),
        Link(
            "Larchwood Trust",
            date(2026, 1, 8),
            [_account("checking", "Checking", "120.45", currency="USD")],
            state="regulatoryHold",
            frozen_days=3,
        ),
    ]


def _joint_account() -> AccountDraft:
    iban = french_iban(2_045_197_700)
    fields: dict[str, object] = {"iban": iban, "number": iban[4:], "webid": iban[4:], "ownership": "co-owner"}
    return _account("joint", "Compte joint", "6315.02", has_iban=True, fields=fields)


def _account(
    kind: str,
    name: str,
    balance: str | None,
    *,
    currency: str | None = "EUR",
    coming: Decimal | None = None,
    disabled: bool = False,
    deleted_days_ago: int | None = None,
    has_iban: bool = False,
    parent: int | None = None,
    moves: bool = True,
    numbers_as_strings: bool = False,
    fields: dict[str, object] | None = None,
) -> AccountDraft:
    return AccountDraft(
        kind,
        name,
        None if balance is None else Decimal(balance),
        currency,
        coming,
        disabled,
        deleted_days_ago,
        has_iban,
        parent,
        moves,
        numbers_as_strings,
        fields or {},
    )


def _works_loan() -> dict[str, object]:
    return loan_object(
        total_amount=40_000,
        subscription_date="2023-01-10",
        maturity_date="2030-01-10",
        start_repayment_date="2023-02-10",
        deferred=False,
        next_payment_amount=Decimal("528.7"),
        rate=Decimal("2.9"),
        nb_payments_total=84,
        duration=84,
        type="consumercredit",
    )


def _holdings(valuation: str, diff: str) -> dict[str, object]:
    fraction = (Decimal(diff) / (Decimal(valuation) - Decimal(diff))).quantize(Decimal("0.0001"))
    return {
        "valuation": Decimal(valuation),
        "diff": Decimal(diff),
        "diff_percent": fraction,
        "prev_diff": None,
        "prev_diff_percent": None,
        "calculated": ["diff", "diff_percent"],
    }
