"""An office whose history contains everything that a release can write: played at the simulated bank, under the bank's clock.

The program's own steps make the loads, `pfo run` those of the last days; decisions and erasures are made by their commands.
"""

import json
import random
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner
from dagster._core.test_utils import freeze_time

from pfo_pipeline.cli import main
from pfo_pipeline.config import load_config
from pfo_pipeline.ledger import store
from pfo_pipeline.ledger.office import ledger_of, opened
from pfo_pipeline.operations.steps import Attempt, StepContext, perform
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline.powens.webhooks import Hint
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path
from pfo_pipeline_tests.operations.household import REFRESH, SYNC
from pfo_pipeline_tests.simulated_bank import SimulatedBank, SimulatedUser

FIRST = datetime(2026, 2, 28, 18, 0, tzinfo=UTC)
DAYS = 38
LAST_DAYS = 3
"""Number of days at the end that Dagster runs."""
FEW_DAYS = 3
"""Length of the encrypted history: the file cannot be smaller than a block for each table."""
KEY = "release-fixture-key"
MARTIN, LINDQVIST, MOREAU = "martin-sandbox", "lindqvist-sandbox", "moreau-sandbox"
_DOMAINS = {"martin": MARTIN, "lindqvist": LINDQVIST, "moreau": MOREAU}

_CONFIGURATION = """\
office = "willow"
data_dir = "data"
publish_personal_columns = true
{encryption}
[freshness]
hours = 72
error_budget_percent = 5
account_types = {{ loan = 168, market = 48 }}
connection_classes = {{ paused = 720 }}

[alerts]
targets = ["file:secrets/alerts", "file:secrets/alerts_dead"]
stale_hours = 26
repeat_hours = {{ critical = [24], warning = [24, 24, 24, 168], notice = [168] }}

[report]
after_refresh = false
locale = "en_GB"
reference_currency = "EUR"
rates = "rates.csv"
"""
_TENANT = """
[tenants.{tenant}]
name = "{title}"
domain = "{domain}"
{base_url}timezone = "Europe/Paris"
client_id = "{client_id}"
client_secret = "file:secrets/{tenant}_client"
redirect_uri = "http://127.0.0.1:8765/powens"
webview_url = "https://webview.powens.com/fr"
config_token = "env:POWENS_CONFIG_{upper}"
webhook_secret = "file:secrets/{tenant}_webhooks"
alert_targets = []
timeout_seconds = 30
integration = "connected"
currency_changes = {currency_changes}
"""
_USER = """
[[tenants.{tenant}.users]]
id = "{user}"
name = "{user}"
token = "file:secrets/{tenant}_{user}"
"""


@dataclass
class PlayedOffice:
    """The folder of an office, and its bank."""

    bank: SimulatedBank
    folder: Path
    key: str | None = None
    alert_url: str = "json://127.0.0.1:9/"
    users: dict[str, dict[str, int]] = field(
        default_factory=lambda: {
            "martin": {"claire": 731, "paul": 732},
            "lindqvist": {"astrid": 731, "nils": 732},
            "moreau": {"helene": 731},
        }
    )
    currency_changes: dict[str, str] = field(default_factory=dict)

    def configure(self, *, is_played: bool = True) -> None:
        """Write the configuration: with the simulated bank's addresses, or like a real office's."""
        encryption = 'encryption_key = "file:secrets/ledger_key"\n' if self.key else ""
        text = _CONFIGURATION.format(encryption=encryption)
        for number, (tenant, users) in enumerate(self.users.items(), start=1):
            domain = _DOMAINS[tenant]
            changes = ", ".join(f'{account} = "{code}"' for account, code in self.currency_changes.items())
            text += _TENANT.format(
                tenant=tenant,
                title=f"{tenant.title()} household",
                domain=domain,
                base_url=f'base_url = "{self.bank.base_url(domain)}"\n' if is_played else "",
                client_id=10_000_000 + number,
                upper=tenant.upper(),
                currency_changes=f"{{ {changes} }}" if tenant == "lindqvist" else "{}",
            )
            text += "".join(_USER.format(tenant=tenant, user=user) for user in users)
        (self.folder / "pfo.toml").write_text(text, encoding="utf-8")

    def write_secrets(self) -> None:
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700)
        for tenant, users in self.users.items():
            (secrets / f"{tenant}_client").write_text(f"client secret of {tenant}", encoding="utf-8")
            (secrets / f"{tenant}_webhooks").write_text(f"webhook secret of {tenant}", encoding="utf-8")
            for user in users:
                self.give_token(tenant, user)
        (secrets / "alerts").write_text(self.alert_url, encoding="utf-8")
        (secrets / "alerts_dead").write_text("json://127.0.0.1:9/", encoding="utf-8")
        if self.key:
            (secrets / "ledger_key").write_text(self.key, encoding="utf-8")
        (self.folder / "rates.csv").write_text(
            "Date,USD,GBP,CHF,JPY,\n2026-04-01,1.09,0.86,0.95,163.2,\n", encoding="utf-8"
        )

    def give_token(self, tenant: str, user: str, token: str | None = None) -> None:
        powens_id = self.users[tenant][user]
        given = token or self.bank.demo_token(_DOMAINS[tenant], powens_id)
        (self.folder / "secrets" / f"{tenant}_{user}").write_text(given, encoding="utf-8")

    def add_user(self, tenant: str, user: str) -> SimulatedUser:
        added = self.bank.add_user(_DOMAINS[tenant])
        self.users[tenant][user] = added.id
        return added

    def read(self) -> None:
        """Do the work of a night's runs, for every tenant."""
        config = load_config()
        ledger, banking, now = ledger_of(config), OpenBanking(config), self.bank.now()
        for tenant in config.tenants:
            for step in (SYNC, REFRESH):
                run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{now:%Y-%m-%d %H} {tenant.id} {step.id}"))
                context = StepContext(tenant, "admin", run_id, Attempt(1, is_last=True), banking, ledger, self.bank.now)
                ledger.merge(perform(step, context).batch)

    def publish(self) -> None:
        ledger_of(load_config()).publish()

    def pfo(self, *words: str, may_fail: bool = False) -> str:
        """Run a command, as an operator does."""
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        if done.exit_code and not may_fail:
            raise AssertionError(f"pfo {' '.join(words)}: {done.output}")
        return done.output

    def one(self, query: str, *parameters: str) -> Any:
        with opened(load_config()) as con:
            [(found,)] = con.execute(query, parameters).fetchall()
        return found

    def account(self, tenant: str, institution: str, name: str, column: str = "source_id") -> str:
        """Powens' id of a current account, or another column."""
        return str(
            self.one(
                f"select {column} from accounts_latest where deleted_at is null and tenant_id = ? "  # noqa: S608
                "and institution_name = ? and display_name = ? order by load_id desc, account_id limit 1",
                tenant,
                institution,
                name,
            )
        )

    def connection(self, tenant: str, institution: str, name: str) -> int:
        return int(self.account(tenant, institution, name, "connection_id"))


def play(office: PlayedOffice, days: int) -> None:
    """Play the first days of the history; from the second on, each has its event before it is read."""
    basile = office.add_user("moreau", "basile")
    office.bank.add_connection(
        basile,
        "Crédit des Deux Rives",
        accounts=[
            {"balance": "410.12", "name": "Compte de Basile", "type": "checking"},
            {"balance": "-9200", "name": "Prêt étudiant", "type": "loan", "moves": False},
        ],
    )
    office.write_secrets()
    (office.folder / "secrets" / "moreau_basile").write_text(basile.token, encoding="utf-8")
    office.configure()
    happens = _events(office)
    for day in range(days):
        moment = FIRST + timedelta(days=day)
        if day:
            office.bank.advance_to(moment)
        for event in happens.get(day, ()):
            event()
        office.read()
        office.publish()
        for correction in _LATER.get(day, ()):
            office.bank.advance(hours=1)
            correction(office)
            office.read()
            office.publish()


def _corrects_figures(office: PlayedOffice) -> None:
    day = f"{office.bank.now():%d}"
    office.bank.correct(MOREAU, int(office.account("moreau", "Banque Meunier & Fils", "Assurance vie")), f"493{day}.25")
    office.bank.correct(MARTIN, int(office.account("martin", "Banque Exemple", "Livret A")), f"229{day}.75")


def _tells_late(office: PlayedOffice) -> None:
    account = int(office.account("lindqvist", "Banque Meunier & Fils", "Compte euros"))
    office.bank.tell_late(LINDQVIST, account, "1200000.01", office.bank.now() - timedelta(days=5))


_LATER: dict[int, tuple[Callable[[PlayedOffice], None], ...]] = {
    4: (_corrects_figures,),
    6: (_tells_late,),
    20: (_corrects_figures,),
}
"""Events an hour after the reading of a day; then everything is read again."""


def _events(office: PlayedOffice) -> dict[int, tuple[Callable[[], object], ...]]:
    """Events before the reading, by day."""
    bank, account, connection = office.bank, office.account, office.connection

    def wallet(balance: str) -> None:
        bank.change_account(LINDQVIST, int(account("lindqvist", "Hashmeadow Exchange", "Wallet")), balance=balance)

    def in_euros() -> None:
        pounds = int(account("lindqvist", "Harbour & Vale", "Current account"))
        bank.change_account(LINDQVIST, pounds, currency="EUR", balance="101200.10")

    def accept_the_currency() -> None:
        pounds = account("lindqvist", "Harbour & Vale", "Current account", "account_id")
        office.currency_changes[pounds] = "EUR"
        office.configure()

    def come_back(tenant: str, institution: str, name: str, numbers: Any) -> None:
        bank.renumber(
            _DOMAINS[tenant], connections=[connection(tenant, institution, name)], numbers=numbers, disabled=False
        )

    def join_the_proposed() -> None:
        found = office.one(
            "select account_id || ' ' || same_as from identities_proposed join accounts_latest using (tenant_id, account_id) "
            "where tenant_id = 'martin' and display_name = 'Compte chèque'"
        )
        office.pfo("identity", "join", "--tenant", "martin", *found.split())

    def see_twice() -> None:
        francs = int(account("lindqvist", "Rhonequell Privatbank", "Kontokorrent"))
        bank.see_again(LINDQVIST, francs, connection("lindqvist", "Larchwood Trust", "Checking"))

    def split_the_twice_seen() -> None:
        found = office.one(
            "select account_id from account_identity where tenant_id = 'lindqvist' and decided_by = 'evidence'"
        )
        office.pfo("identity", "split", "--tenant", "lindqvist", found)

    def without_basile() -> None:
        del office.users["moreau"]["basile"]
        (office.folder / "secrets" / "moreau_basile").unlink()
        office.configure()
        office.pfo("erase", "--tenant", "moreau", "--member", "basile", "--yes")

    def moonrise() -> None:
        tilleuls = connection("moreau", "Caisse des Tilleuls", "Compte épargne")
        bank.change_connection(MOREAU, tilleuls, state="awaitingMoonrise")

    def of_unknown_type() -> None:
        savings = {"type": "frobnicated", "name": "Plan épargne", "balance": "5000", "moves": False}
        bank.add_account(MARTIN, connection("martin", "Crédit des Deux Rives", "Compte chèque"), **savings)

    return {
        2: (lambda: come_back("martin", "Caisse des Tilleuls", "Compte épargne", "same"),),
        3: (lambda: wallet("n/a"), of_unknown_type),
        5: (lambda: wallet("12.40112233"), moonrise, in_euros),
        7: (lambda: come_back("martin", "Crédit des Deux Rives", "Compte chèque", "absent"), accept_the_currency),
        8: (join_the_proposed, see_twice),
        9: (
            lambda: bank.change_account(MARTIN, int(account("martin", "Banque Exemple", "LDDS")), disabled=True),
            split_the_twice_seen,
        ),
        10: (
            lambda: bank.delete_connection(LINDQVIST, connection("lindqvist", "Banque du Jasmin", "Compte courant")),
            without_basile,
        ),
        12: (
            lambda: bank.change_account(
                LINDQVIST, int(account("lindqvist", "Banque Meunier & Fils", "PEA")), deleted=True
            ),
        ),
        15: (lambda: bank.fault("status", status=503, domain=MARTIN, user=732, times=None),),
        16: (bank.clear_faults, lambda: office.give_token("lindqvist", "nils", "revoked")),
        17: (lambda: office.give_token("lindqvist", "nils"),),
        18: (
            lambda: bank.change_connection(
                LINDQVIST, connection("lindqvist", "Larchwood Trust", "Checking"), active=False
            ),
        ),
        25: (
            lambda: bank.change_connection(
                MARTIN, connection("martin", "Caisse des Tilleuls", "Compte épargne"), expire="2026-04-09T09:14:00Z"
            ),
        ),
    }


def run_the_last_days(office: PlayedOffice) -> None:
    """Days that `pfo run` reads; on the second of them one tenant cannot be read. Then a webhook waits."""
    for day in range(DAYS - LAST_DAYS, DAYS):
        office.bank.advance_to(FIRST + timedelta(days=day))
        if day == DAYS - 2:
            body = json.dumps({"code": "bug", "message": "down", "description": "down"})
            # With a wait from the server, the contract's delays do not apply.
            office.bank.fault("body", body=body, status=429, retry_after=0, domain=LINDQVIST, times=None)
        with freeze_time(office.bank.now()):
            office.pfo("run", may_fail=True)
        office.bank.clear_faults()
    inbox = Inbox(inbox_path(office.folder / "data" / "private"), office.bank.now)
    inbox.prepare()
    inbox.keep("moreau", Hint("CONNECTION_SYNCED", 7, 38, 1, None))


@contextmanager
def under_the_banks_clock(bank: SimulatedBank) -> Iterator[None]:
    """Use the bank's clock as the machine's clock, and draw the program's ids from a seed."""
    drawn = random.Random(7)  # noqa: S311
    real = store.utc_now
    defaults = store.Ledger.__init__.__kwdefaults__
    assert defaults is not None
    named = [m for n, m in list(sys.modules.items()) if n.startswith("pfo_pipeline.") and hasattr(m, "utc_now")]

    def drawn_id() -> uuid.UUID:
        return uuid.UUID(int=drawn.getrandbits(128), version=4)

    with mock.patch.dict(defaults, clock=bank.now):
        for module in named:
            module.utc_now = bank.now  # type: ignore[attr-defined]
        try:
            with mock.patch("uuid.uuid4", drawn_id):
                yield
        finally:
            for module in named:
                module.utc_now = real  # type: ignore[attr-defined]
