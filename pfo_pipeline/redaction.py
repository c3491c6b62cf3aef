"""Removes secrets and personal data from texts before they are logged, stored or shown.

Source: ContractSpec open banking guards: the listed fields never appear unmasked in telemetry, logs, Dagster metadata,
tags, run config or error text. Masking keeps the last four characters.
"""

import re

PERSONAL_FIELDS = frozenset(
    {
        "iban",
        "bic",
        "account_number",
        "account_number_masked",
        "counterparty_name",
        "counterparty_account",
        "description",
        "merchant_name",
        "merchant_category_code",
        "reference",
    }
)

# No word boundaries: in an escaped text the letter of `\\n` or `\\t` touches the next character.
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?:\s?[A-Z0-9]){11,}")
# In small letters, or with dashes: only as a separate word, in groups of four, and not a run id.
_IBAN_AS_TYPED = re.compile(
    r"(?i)(?<![\w-])(?![0-9a-f]{8}-[0-9a-f]{4}-)[a-z]{2}\d{2}(?:[\s-]?[a-z0-9]{4}){2,7}(?:[\s-]?[a-z0-9]{1,3})?(?!\w)"
)
_URL = re.compile(r"(?<![\w+.*-])[\w+.*-]*://\S+")
_BEARER = re.compile(r"(?i)bearer\s+\S+")
# Not the decimals of an amount, nor the parts of a run id.
_LONG_NUMBER = re.compile(r"(?<!\w)(?<!\w-)(?<!\d\.)\d{9,}(?!-?\w)(?!\.\d)")

_WORD = re.compile(r"[A-Za-z](?:[A-Za-z_.-]|\d(?!(?:\D*\d){3})){0,39}")
NOT_A_WORD = "(not a word)"


def word(text: str) -> str:
    """A name from the provider's own vocabulary, such as a state or a field; any other text could be personal data.

    At most 40 letters, `_`, `-`, `.` and three digits; else NOT_A_WORD.
    """
    return text if _WORD.fullmatch(text) else NOT_A_WORD


def mask(value: str) -> str:
    """Keep the last four characters; hide a text of four characters or fewer completely."""
    return "*" * len(value) if len(value) <= 4 else "*" * (len(value) - 4) + value[-4:]


def scrub(text: str) -> str:
    """Make a text safe for a log or an error: remove URL queries, bearer tokens, IBANs and long numbers."""
    # IBANs first: the other patterns end at a space, and would leave the groups after it.
    for pattern in (_IBAN, _IBAN_AS_TYPED):
        text = pattern.sub(lambda found: mask(re.sub(r"[\s-]", "", found.group())), text)
    text = _URL.sub(_without_secrets, text)
    text = _BEARER.sub("Bearer ***", text)
    return _LONG_NUMBER.sub(lambda found: mask(found.group()), text)


def _without_secrets(found: re.Match[str]) -> str:
    scheme_and_host = re.match(r"(?i)https?://[^/\s?#@]+(?=[/\s?#]|$)", found.group())
    return f"{scheme_and_host.group()}/…" if scheme_and_host else "[address]"
