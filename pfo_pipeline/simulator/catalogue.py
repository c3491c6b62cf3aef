"""Reference data: currencies, account types, connectors.

Facts: Powens docs, Connectors, Bank account types; the test connector's uuid, code and `1234` password are the documented
ones.
Connector ids differ between domains on purpose: only the uuid is stable. All banks except the test connector are fictitious.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import NAMESPACE_DNS, uuid5

from pfo_pipeline.simulator.exact_json import JsonObject


@dataclass(frozen=True)
class CurrencyFormat:
    """A currency; `precision` is its number of decimal places."""

    id: str
    name: str
    symbol: str
    precision: int
    prefix: bool = False
    crypto: bool = False


@dataclass(frozen=True)
class AccountType:
    """An account type; `parent` is the name of the wider type."""

    id: int
    name: str
    display_name: str
    display_name_p: str
    parent: str | None = None
    is_invest: bool = False


@dataclass(frozen=True)
class CatalogueConnector:
    """A bank that users can connect. `base_id` is shifted per domain, `uuid` never changes."""

    base_id: int
    name: str
    code: str | None
    slug: str
    color: str
    country: str
    country_name: str
    bic: str | None
    auth_mechanism: str = "webauth"
    capabilities: tuple[str, ...] = ("bank", "transfer")
    source_names: tuple[str, ...] = ("openapi",)
    uuid: str = field(default="")

    def __post_init__(self) -> None:
        if not self.uuid:
            object.__setattr__(self, "uuid", str(uuid5(NAMESPACE_DNS, f"{self.slug.lower()}.bank.invalid")))


CURRENCIES = MappingProxyType(
    {
        currency.id: currency
        for currency in (
            CurrencyFormat("EUR", "Euro", "€", 2),
            CurrencyFormat("USD", "US Dollar", "$", 2, prefix=True),
            CurrencyFormat("GBP", "Pound Sterling", "£", 2, prefix=True),
            CurrencyFormat("CHF", "Swiss Franc", "CHF", 2),
            CurrencyFormat("JPY", "Yen", "¥", 0, prefix=True),
            CurrencyFormat("TND", "Tunisian Dinar", "TND", 3),
            CurrencyFormat("SEK", "Swedish Krona", "kr", 2),
            CurrencyFormat("BTC", "Bitcoin", "₿", 8, crypto=True),
        )
    }
)

# Real payloads contain 2 (checking); the other numbers are made up.
ACCOUNT_TYPES = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            AccountType(1, "unknown", "Inconnu", "Inconnus"),
            AccountType(2, "checking", "Compte courant", "Comptes courants"),
            AccountType(3, "savings", "Compte épargne", "Comptes épargne"),
            AccountType(4, "market", "Compte titres", "Comptes titres", is_invest=True),
            AccountType(5, "loan", "Prêt", "Prêts"),
            AccountType(6, "joint", "Compte joint", "Comptes joints", parent="checking"),
            AccountType(7, "deposit", "Compte à terme", "Comptes à terme"),
            AccountType(8, "lifeinsurance", "Assurance vie", "Assurances vie", is_invest=True),
            AccountType(9, "card", "Carte", "Cartes"),
            AccountType(10, "pea", "PEA", "PEA", parent="market", is_invest=True),
            AccountType(11, "per", "PER", "PER", is_invest=True),
            AccountType(12, "capitalisation", "Contrat de capitalisation", "Contrats", is_invest=True),
            AccountType(21, "livret_a", "Livret A", "Livrets A", parent="savings"),
            AccountType(22, "ldds", "LDDS", "LDDS", parent="savings"),
            AccountType(23, "pel", "Plan épargne logement", "Plans épargne logement", parent="savings"),
            AccountType(24, "livret_b", "Livret B", "Livrets B", parent="savings"),
            AccountType(31, "mortgage", "Prêt immobilier", "Prêts immobiliers", parent="loan"),
        )
    }
)

TEST_CONNECTOR = CatalogueConnector(
    base_id=40,
    name="Connecteur de test",
    code="00000",
    slug="TEST",
    color="5c2963",
    country="fr",
    country_name="France",
    bic="TESTFRPPXXX",
    auth_mechanism="credentials",
    capabilities=("bank", "bankwealth"),
    source_names=("openapi", "directaccess"),
    uuid="338178e6-3d01-564f-9a7b-52ca442459bf",
)

CONNECTORS: tuple[CatalogueConnector, ...] = (
    TEST_CONNECTOR,
    CatalogueConnector(1207, "Banque Exemple", "99999", "BEX", "0055aa", "fr", "France", "BEXAFRPPXXX"),
    CatalogueConnector(
        1208,
        "Crédit des Deux Rives",
        "99999",
        "CDR",
        "1f7a3d",
        "fr",
        "France",
        "CDRVFRPPXXX",
        auth_mechanism="credentials",
        source_names=("openapi", "directaccess"),
    ),
    CatalogueConnector(1209, "Caisse des Tilleuls", "99999", "CDT", "c0392b", "fr", "France", "CDTLFRPPXXX"),
    CatalogueConnector(
        1214,
        "Banque Meunier & Fils",
        None,
        "BMF",
        "3b2f63",
        "fr",
        "France",
        "BMFSFRPPXXX",
        capabilities=("bank", "bankwealth"),
    ),
    CatalogueConnector(
        1221,
        "Rhonequell Privatbank",
        None,
        "RQP",
        "8a6d3b",
        "ch",
        "Switzerland",
        "RQPBCHZZXXX",
        capabilities=("bank", "bankwealth"),
    ),
    CatalogueConnector(1233, "Harbour & Vale", None, "HAV", "14213d", "gb", "United Kingdom", "HAVLGB2LXXX"),
    CatalogueConnector(1240, "Larchwood Trust", None, "LWT", "2d6a4f", "us", "United States", "LWTRUS33XXX"),
    CatalogueConnector(1252, "Banque du Jasmin", None, "BDJ", "e07a5f", "tn", "Tunisia", "BDJSTNTTXXX"),
    CatalogueConnector(
        1260,
        "Hashmeadow Exchange",
        None,
        "HMX",
        "f2a900",
        "fr",
        "France",
        None,
        auth_mechanism="credentials",
        capabilities=("bankwealth",),
        source_names=("directaccess",),
    ),
)

# Scenario of the test connector -> label in its list field.
TEST_SCENARIOS = MappingProxyType(
    {
        "par": "OK",
        "SCARequired": "SCARequired",
        "SCARequiredAndOTP": "SCARequired then OTP",
        "SCARequiredAndDecoupled": "SCARequired then decoupled",
        "actionNeeded": "actionNeeded",
        "additionalInformationNeeded": "additionalInformationNeeded",
        "bug": "bug",
        "shortDecoupled": "decoupled",
        "wrongpass": "wrongpass",
        "passwordExpired": "passwordExpired",
    }
)


def find_connector(reference: str) -> CatalogueConnector | None:
    """Find a connector by uuid, exact name or slug."""
    for connector in CONNECTORS:
        if reference in (connector.uuid, connector.name, connector.slug):
            return connector
    return None


def precision_of(code: str | None) -> int:
    """Decimal places of a currency; two for an unknown or missing one."""
    currency = CURRENCIES.get(code or "")
    return currency.precision if currency else 2


def currency_object(code: str) -> JsonObject:
    """The Currency object of an ISO code; an unknown code gets a plain object with two decimals."""
    currency = CURRENCIES.get(code, CurrencyFormat(code, code, code, 2))
    return {
        "id": currency.id,
        "name": currency.name,
        "symbol": currency.symbol,
        "crypto": currency.crypto,
        "precision": currency.precision,
        "prefix": currency.prefix,
        "marketcap": None,
        "datetime": None,
    }


def account_type_object(kind: AccountType) -> JsonObject:
    """The AccountType object as `/account_types` lists it."""
    parent = ACCOUNT_TYPES[kind.parent].id if kind.parent else None
    return {
        "id": kind.id,
        "name": kind.name,
        "id_parent": parent,
        "is_invest": kind.is_invest,
        "display_name": kind.display_name,
        "display_name_p": kind.display_name_p,
    }
