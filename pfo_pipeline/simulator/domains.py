"""Client applications (domains), their tokens and temporary codes.

Facts: Powens docs, Authentication. Temporary tokens and codes live 30 minutes; permanent ones do not expire.
"""

from datetime import datetime, timedelta

from pfo_pipeline.simulator.dice import pick, secret
from pfo_pipeline.simulator.state import Code, Domain, Settings, Token, TokenKind, World, WorldUser

TEMPORARY_LIFE_SECONDS = 1800


def add_user(world: World, domain: Domain, *, anonymous: bool = False, user_id: int | None = None) -> WorldUser:
    """Create a user of the domain, signed in now."""
    user = WorldUser(user_id or domain.next_id("user"), world.clock.now(), anonymous)
    domain.users[user.id] = user
    return user


def issue_token(world: World, domain: Domain, kind: TokenKind, user_id: int | None) -> Token:
    """Issue a token; equal seeds and calls give equal values."""
    expires = _in_half_an_hour(world) if kind == "temporary" else None
    token = Token(_next_secret(world, domain, kind), kind, user_id, expires)
    domain.tokens[token.value] = token
    return token


def issue_code(world: World, domain: Domain, user_id: int, *, single_use: bool) -> Code:
    """Issue a temporary code."""
    code = Code(_next_secret(world, domain, "code"), user_id, single_use, _in_half_an_hour(world))
    domain.codes[code.value] = code
    return code


def revoke_tokens(domain: Domain, user_id: int) -> None:
    """Revoke every permanent token of a user."""
    domain.tokens = {
        value: token for value, token in domain.tokens.items() if token.id_user != user_id or token.kind != "permanent"
    }


def expire(domain: Domain, now: datetime) -> None:
    """Remove expired tokens and codes; an anonymous user is deleted with the token."""
    domain.codes = {value: code for value, code in domain.codes.items() if code.expires > now}
    ended = [token for token in domain.tokens.values() if token.expires and token.expires <= now]
    for token in ended:
        domain.tokens.pop(token.value, None)
        user = domain.users.get(token.id_user or 0)
        if user is not None and user.anonymous:
            domain.erase_user(user.id, now)


def _next_secret(world: World, domain: Domain, kind: str) -> str:
    domain.issued += 1
    return secret(world.seed, domain.name, kind, domain.issued)


def _in_half_an_hour(world: World) -> datetime:
    return world.clock.now() + timedelta(seconds=TEMPORARY_LIFE_SECONDS)


# First words of paths that do not belong to a domain.
RESERVED_NAMES = ("admin", "webview")


def create_domain(world: World, name: str, *, client_id: str | None = None, client_secret: str | None = None) -> Domain:
    """Create a client application, with the console's two tokens.

    Raises:
        ValueError: the name is taken or not a domain label.
    """
    if name in world.domains or name in RESERVED_NAMES:
        raise ValueError(f"domain: {name} exists already")
    if not name or not all(character in "abcdefghijklmnopqrstuvwxyz0123456789-" for character in name):
        raise ValueError("domain: lower-case letters, digits and hyphens are needed")
    domain = Domain(
        name=name,
        client_id=client_id or str(pick(10_000_000, 99_999_999, "client", world.seed, name)),
        client_secret=client_secret or secret(world.seed, name, "client secret"),
        settings=Settings(**vars(world.settings)),
    )
    world.domains[name] = domain
    issue_token(world, domain, "users", None)
    issue_token(world, domain, "config", None)
    return domain
