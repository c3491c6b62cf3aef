"""The demonstration's ledger as it stands after most of a year: what docs/questions.md asks, and what it shows.

The simulated bank's clock and fixed seed make it the same at every run.
"""

import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from pfo_pipeline.config import Config, Tenant, User
from pfo_pipeline.ledger.connection import LedgerFiles
from pfo_pipeline.ledger.schema import enter
from pfo_pipeline.ledger.store import Ledger
from pfo_pipeline.operations.steps import Attempt, StepContext, perform
from pfo_pipeline.powens.session import OpenBanking
from pfo_pipeline.simulator import demo
from pfo_pipeline_tests.operations.household import REFRESH, SYNC
from pfo_pipeline_tests.simulated_bank import SimulatedBank

TODAY = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
_FIRST = datetime(2026, 2, 28, 18, 0, tzinfo=UTC)
_MONTH_ENDS = [_FIRST, *(datetime(2026, m + 1, 1, 18, 0, tzinfo=UTC) - timedelta(days=1) for m in range(3, 11))]
_DAYS = [TODAY - timedelta(days=n) for n in reversed(range(12))]


@dataclass
class _Year:
    """The bank, the ledger and the three tenants."""

    bank: SimulatedBank
    ledger: Ledger
    tenants: dict[str, Tenant]
    banking: OpenBanking

    def read(self, *, accounts: bool) -> None:
        """What a night's and a day's run do, for every tenant."""
        now = self.bank.now()
        for tenant in self.tenants.values():
            for step in (SYNC, REFRESH) if accounts else (REFRESH,):
                run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{now:%Y-%m-%d} {tenant.id} {step.id}"))
                context = StepContext(
                    tenant, "admin", run_id, Attempt(1, is_last=True), self.banking, self.ledger, self.bank.now
                )
                self.ledger.merge(perform(step, context).batch)

    def one(self, query: str, *names: str) -> str:
        with _opened(self.ledger) as con:
            [(found,)] = con.execute(query, names).fetchall()
        return str(found)

    def account(self, tenant: str, institution: str, name: str) -> int:
        """Powens' id of an account."""
        return int(
            self.one(
                "select source_id from accounts_latest where tenant_id = ? and institution_name = ? and display_name = ?",
                tenant,
                institution,
                name,
            )
        )

    def connection(self, tenant: str, institution: str, name: str) -> int:
        """Powens' id of the connection through which an account is seen."""
        return int(
            self.one(
                "select connection_id from accounts_latest "
                "where tenant_id = ? and institution_name = ? and display_name = ?",
                tenant,
                institution,
                name,
            )
        )

    def renew_consents(self) -> None:
        """Members renew what ends within a month."""
        with _opened(self.ledger) as con:
            ending = con.execute(
                "select tenant_id, connection_id, consent_expires_at from connections_latest where consent_expires_at < ?",
                [self.bank.now() + timedelta(days=31)],
            ).fetchall()
        for tenant, connection, ends in ending:
            renewed = ends.astimezone(UTC) + timedelta(days=180)
            self.bank.change_connection(self.tenants[tenant].domain, int(connection), expire=renewed.isoformat())

    def mend_everything(self) -> None:
        """Hélène puts right what the demonstration begins with; the same troubles come back in November."""
        with _opened(self.ledger) as con:
            troubled = con.execute(
                "select tenant_id, connection_id from connections_latest where status <> 'healthy'"
            ).fetchall()
        expire = (self.bank.now() + timedelta(days=170)).isoformat()
        for tenant, connection in troubled:
            self.bank.change_connection(self.tenants[tenant].domain, int(connection), state=None, expire=expire)


def _november(year: _Year) -> dict[int, list[Callable[[], object]]]:
    """What happens before the reading of a day of November."""
    bank, martins, lindqvists, moreaus = year.bank, "martin-sandbox", "lindqvist-sandbox", "moreau-sandbox"
    deux_rives = year.connection("moreau", "Crédit des Deux Rives", "Compte chèque")
    insurer = year.connection("moreau", "Banque Meunier & Fils", "Assurance vie")
    sci = year.connection("moreau", "Banque Exemple", "Compte SCI")
    tilleuls = year.connection("moreau", "Caisse des Tilleuls", "Compte épargne")
    pauls = year.connection("martin", "Crédit des Deux Rives", "Compte chèque")
    nils = year.connection("lindqvist", "Harbour & Vale", "Current account")
    insurance = year.account("moreau", "Banque Meunier & Fils", "Assurance vie")
    wallet = year.account("lindqvist", "Hashmeadow Exchange", "Wallet")
    pounds = year.account("lindqvist", "Harbour & Vale", "Current account")
    pea = year.account("lindqvist", "Banque Meunier & Fils", "PEA")
    savings = {"type": "savings", "name": "Plan épargne logement", "balance": "5000", "moves": False}
    return {
        9: [
            lambda: bank.change_connection(martins, pauls, expire="2026-12-08T09:14:00Z"),
            lambda: bank.change_connection(lindqvists, nils, expire="2026-11-29T09:14:00Z"),
        ],
        10: [lambda: bank.change_connection(moreaus, deux_rives, state="wrongpass")],
        12: [lambda: bank.add_account(martins, pauls, **savings)],
        14: [lambda: bank.change_connection(moreaus, insurer, next_try=None)],
        15: [lambda: bank.change_connection(moreaus, sci, state="SCARequired")],
        16: [lambda: bank.change_account(lindqvists, pea, deleted=True)],
        # The insurer corrects a figure that it has told before, and leaves its date.
        17: [lambda: bank.change_account(moreaus, insurance, balance="49310.25")],
        18: [
            lambda: bank.change_account(lindqvists, wallet, balance="n/a"),
            lambda: bank.fault("status", status=503, domain=martins, user=732, times=None),
        ],
        19: [
            lambda: bank.change_account(lindqvists, wallet, balance="12.40112233"),
            bank.clear_faults,
            lambda: bank.change_connection(moreaus, tilleuls, state="websiteUnavailable"),
        ],
        20: [lambda: bank.change_account(lindqvists, pounds, currency="EUR")],
    }


def build(data_dir: Path) -> Path:
    """Play the year into a new ledger. Returns the published file."""
    with SimulatedBank(world="demo", now=_FIRST) as bank:
        ledger = Ledger(LedgerFiles(data_dir), "demo", clock=bank.now)
        ledger.reader().tenants()
        tenants = {tenant.key: _configured(bank, tenant, data_dir) for tenant in demo.TENANTS}
        config = Config(source=data_dir / "pfo.toml", office="demo", tenants=tuple(tenants.values()))
        year = _Year(bank, ledger, tenants, OpenBanking(config))
        with _opened(ledger):  # Held, it spares most of the time that opening takes.
            year.read(accounts=True)
            year.mend_everything()
            year.renew_consents()
            for moment in _MONTH_ENDS[1:]:
                bank.advance_to(moment)
                year.read(accounts=True)
                year.renew_consents()
            happens = _november(year)
            for moment in _DAYS:
                bank.advance_to(moment)
                for event in happens.get(moment.day, ()):
                    event()
                year.read(accounts=True)
        return ledger.publish().path


def _configured(bank: SimulatedBank, tenant: demo.DemoTenant, folder: Path) -> Tenant:
    for member in tenant.members:
        token = bank.demo_token(tenant.domain, member.powens_id)
        (folder / f"{tenant.key}.{member.key}.token").write_text(token, encoding="utf-8")
    return Tenant(
        id=tenant.key,
        domain=tenant.domain,
        base_url=bank.base_url(tenant.domain),
        users=tuple(User(id=m.key, token=f"file:{tenant.key}.{m.key}.token") for m in tenant.members),
    )


def _opened(ledger: Ledger) -> closing[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(str(ledger.files.primary), config={"storage_compatibility_version": "v1.4.0"})
    enter(con)
    return closing(con)
