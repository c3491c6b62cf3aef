"""Making client applications.

Here: a new domain with the console's two tokens.
Not here: who lives in it (demo.py, worlds.py, admin.py).
"""

from pfo_pipeline.simulator.tokens import issue_token
from pfo_pipeline.simulator.dice import pick, secret
from pfo_pipeline.simulator.records import Domain, Settings, World

# The first words of paths that are no domain's.
RESERVED_NAMES = ("admin", "webview")


def create_domain(world: World, name: str, *, client_id: str | None = None, client_secret: str | None = None) -> Domain:
    """A new client application, with the console's two tokens.

    Raises:
        ValueError: the name is taken or is no domain label.
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
