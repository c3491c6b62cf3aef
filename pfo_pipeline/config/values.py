"""Types of single values of the configuration; each check names the mistake and gives an example."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1035: a label has at most 63 characters.
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def _slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise ValueError(f"{value!r} is not a slug: use a-z, 0-9, - and _, at most 63, starting with a letter or digit")
    return value


# Cached, because it is read from hundreds of files, and each tick of a sensor reads the configuration.
_known_timezones = cache(available_timezones)


def _timezone(value: str) -> str:
    if value not in _known_timezones():
        raise ValueError(f"{value!r} is not a time zone name; use one such as Europe/Paris")
    return value


def _domain(value: str) -> str:
    if not _DOMAIN.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a Powens domain label: give smith for https://smith.biapi.pro "
            "(a-z, 0-9 and -, at most 63, starting and ending with a letter or digit)"
        )
    return value


def _refuse_other_than_url(value: str) -> None:
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not a URL; give one such as https://smith.biapi.pro/2.0")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("http would send tokens in clear; use https (http is allowed on loopback only)")


def checked_base_url(value: str) -> str:
    _refuse_other_than_url(value)
    if any(mark in value for mark in "@?#"):
        raise ValueError("must hold no user, password, query or fragment")
    return value.rstrip("/")


def _redirect_uri(value: str) -> str:
    _refuse_other_than_url(value)
    if "@" in urlsplit(value).netloc or "#" in value:
        raise ValueError("must hold no user, password or fragment")
    return value  # Unchanged, because Powens compares it with its list character by character.


def _locale(value: str) -> str:
    from babel import Locale, UnknownLocaleError  # Imported only if a locale is configured.

    try:
        Locale.parse(value)
    except (UnknownLocaleError, ValueError):
        raise ValueError(f"{value!r} is no locale; use one such as en_GB, fr_FR or de_CH") from None
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise ValueError(f"{value!r} is no currency code; use one such as EUR or CHF")
    return value


def _path(value: Path) -> Path:
    if "\0" in str(value):
        raise ValueError("is not a path: it holds a NUL character")
    return value


def secret_reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError("is not a secret reference; use env:NAME or file:PATH, never the secret itself")
    return value


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Slug = Annotated[str, AfterValidator(_slug)]
SecretReference = Annotated[str, AfterValidator(secret_reference)]
SecretReferences = Annotated[tuple[SecretReference, ...], BeforeValidator(_listed)]
TimeZoneName = Annotated[str, AfterValidator(_timezone)]
DomainLabel = Annotated[str, AfterValidator(_domain)]
BaseUrl = Annotated[str, AfterValidator(checked_base_url)]
RedirectUri = Annotated[str, AfterValidator(_redirect_uri)]
PathName = Annotated[Path, AfterValidator(_path)]
LocaleName = Annotated[str, AfterValidator(_locale)]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
