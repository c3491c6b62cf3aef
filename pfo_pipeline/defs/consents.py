"""Consents that end soon: a sensor that warns of each stage once. It goes by the clock: a tenant whose runs fail is warned of
all the same. Not here: the check that shows them (watched.py).
"""

from datetime import datetime

import dagster as dg

from pfo_pipeline.alerts import CONSENT_ENDS, append_alert, unwritable
from pfo_pipeline.config import Config, data_dir, load_config
from pfo_pipeline.contracts.privacy import scrub
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.lock import TurnNotReached
from pfo_pipeline.ledger.office import files_of, reader_of
from pfo_pipeline.ledger.reader import Reader
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.consents import EndingConsent, ending_consents, tell_once
from pfo_pipeline.powens.links import reconnect_link


@dg.sensor(
    name="consents",
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Warns of each consent that ends: 14, 7 and 1 days ahead and when it has ended, once each.",
)
def consents_sensor() -> dg.SkipReason:
    try:
        config = load_config()
        count = warn_of_consents(config, utc_now())
    except OSError as error:
        return dg.SkipReason(unwritable(data_dir(config), error))
    except PfoError as problem:
        return dg.SkipReason(scrub(str(problem)))
    except TurnNotReached as holder:
        return dg.SkipReason(f"{holder} is warning at this moment.")
    return dg.SkipReason(f"{count} new warnings." if count else "No consent has come nearer to its end.")


def warn_of_consents(config: Config, now: datetime) -> int:
    """Write what nobody was warned of yet to the alerts file; how many that were.

    Raises: SecretError, LedgerError, OSError, TurnNotReached.
    """
    ending = _ending(config, reader_of(config), now)
    return tell_once(
        files_of(config).private / "consents.json",
        ending,
        lambda consent: append_alert(data_dir(config), consent_alert(config, consent, now)),
    )


def consent_alert(config: Config, consent: EndingConsent, now: datetime) -> dict[str, str | None]:
    """One line of the alerts file. Amounts stay in the ledger."""
    ends = "ended" if consent.ends_at <= now else "ends"
    currencies = ", ".join(currency for currency, _ in consent.totals)
    return {
        "at": now.isoformat(timespec="seconds"),
        "tenant": consent.tenant_id,
        "job": "consents",
        "code": CONSENT_ENDS,
        "who_acts": "member",
        "reason": scrub(
            f"The consent of connection {consent.connection_id} ({consent.institution_name}, user {consent.user_id}) "
            f"{ends} on {consent.ends_at:%Y-%m-%d}. Stale from then on: accounts {consent.accounts}, currencies "
            f"{currencies or 'none'}. The member renews it at the link."
        ),
        "stage_days": str(consent.stage_days),
        "link": _link(config, consent),
    }


def _ending(config: Config, reader: Reader, now: datetime) -> list[EndingConsent]:
    return [
        consent
        for tenant in config.tenants
        for consent in ending_consents(tenant.id, reader.connections(tenant.id), reader.accounts(tenant.id), now)
    ]


def _link(config: Config, consent: EndingConsent) -> str:
    """Where to renew; without an access code, which `pfo reconnect` adds for the member alone."""
    return reconnect_link(config.tenant(consent.tenant_id), consent.connection_id)
