"""The canonical records that operations return: bank account and account balance.

Amounts are exact decimals in the account's currency, never binary floats (the source types them as numbers).
Facts: ContractSpec models BankAccountRecord, AccountBalanceRecord.
"""

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from pfo_pipeline.contracts.model import Message, Moment

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Context for amounts: rounds nothing, at any length. Python's default context rounds a sum at 28 digits."""
FORMULA = re.compile(r"[=+\-@\t\r]")
"""Characters with which a text begins that a spreadsheet evaluates as a formula."""


def plain(amount: Decimal) -> str:
    """Format an amount without exponent or trailing zeros: `5210.33`, never `5210.3300000000` or `5.2E+3`."""
    return f"{amount.normalize(EXACT):f}"


def _not_a_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("an amount as a binary float; give a text or a Decimal")
    return value


Money = Annotated[Decimal, BeforeValidator(_not_a_float), PlainSerializer(plain, when_used="json")]
"""An exact amount; text in JSON, so that no reader converts it to a binary float."""

BalanceType = Literal["current", "available"]


class BankAccountRecord(Message):
    """One account as the ledger knows it now.

    `currency` is null only if the provider gives none: an account that was found but never enabled.
    """

    id: str
    tenant_id: str
    user_id: str
    connection_id: str
    external_id: str
    institution_id: str
    institution_name: str
    institution_logo_url: str | None = None
    iban: str | None = None
    bic: str | None = None
    account_type: str
    currency: str | None
    display_name: str
    account_number_masked: str | None = None
    product_code: str | None = None
    balance: Money | None = None
    available_balance: Money | None = None
    last_synced_at: Moment
    created_at: Moment
    updated_at: Moment
    metadata: dict[str, Any] | None = None


class AccountBalanceRecord(Message):
    """One balance of an account. `last_updated_at` is the bank's own date of the balance (as of)."""

    id: str
    account_id: str
    tenant_id: str
    connection_id: str
    balance_type: BalanceType
    current_balance: Money
    available_balance: Money | None = Field(default=None, description="Derived; null where nothing is known.")
    currency: str
    last_updated_at: Moment
    created_at: Moment
    metadata: dict[str, Any] | None = None
