"""`pfo webhooks`: receive the events that Powens posts, and register the receiver at Powens."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import click

from pfo_pipeline.cli.context import Place, find_place, require_admin
from pfo_pipeline.cli.options import (
    TENANT,
    examples,
)
from pfo_pipeline.config import Config, ConfigError, SecretError, Tenant, checked_base_url
from pfo_pipeline.errors import PfoError
from pfo_pipeline.ledger.store import utc_now
from pfo_pipeline.operations.signals import run_interruptible
from pfo_pipeline.powens.client import client_of
from pfo_pipeline.powens.webhooks import Registrar, provider_name
from pfo_pipeline.webhooks.inbox import Inbox, inbox_path

POSTS_AT_ONCE = 32
GRACE_SECONDS = 10


class WebhooksError(PfoError):
    """The receiver cannot start, or Powens' secret cannot be stored."""


def serve_webhooks(place: Place, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Receive until SIGINT or SIGTERM; posts under way are finished.

    Raises:
        ConfigError: nothing is configured, or no tenant says how its posts are proved.
        WebhooksError: the address cannot be listened on.
        InboxError: there is no place to keep events.
    """
    import uvicorn  # A web server, which `pfo webhooks register` does not need.

    from pfo_pipeline.webhooks.receiver import ImpatientProtocol, Receiver

    config = place.configured()
    if not any(tenant.webhook_secret or tenant.webhook_bearer for tenant in config.tenants):
        raise ConfigError(
            f'{config.source}: no tenant has a webhook_secret. Give one, such as "file:secrets/webhooks".'
        )
    inbox = Inbox(inbox_path(place.files.private), utc_now)
    inbox.prepare()
    server = uvicorn.Server(
        uvicorn.Config(
            Receiver(config, inbox, utc_now, tell).app(),
            http=ImpatientProtocol,
            limit_concurrency=POSTS_AT_ONCE,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
        )
    )
    with _listening(host, port) as listener:
        tell(f"Receiving on http://{_host(host)}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])


def register_webhooks(place: Place, tenant_id: str, base: str, tell: Callable[[str], None]) -> None:
    """Make Powens sign its posts and send them to `base`. Run again, it adds what is missing and nothing else.

    Raises:
        OperationRefused: not an admin.
        ConfigError: not this tenant, or it lacks `config_token` or a `webhook_secret` in a file; `base` is no address.
        WebhooksError: Powens has told the secret before and it is not in the file, or the file cannot be written.
        PowensError: a call failed; what was registered before it stays.
    """
    require_admin("Registering changes what Powens sends")
    config = place.configured()
    tenant = config.tenant(tenant_id)
    base = _checked(base)
    if tenant.config_token is None:
        raise ConfigError(f"tenants.{tenant_id}.config_token: is missing; give the reference to the console's token.")
    token = config.secret(tenant.config_token, key=f"tenants.{tenant_id}.config_token")
    file = _secret_file(config, tenant)

    async def talk() -> list[tuple[str, str, bool]]:
        async with client_of(config, tenant) as client:
            registrar = Registrar(client, tenant.root, token)
            provider = await _provider(registrar, config, tenant, file, tell)
            return await registrar.add_addresses(tenant.id, base, provider)

    addresses = run_interruptible(talk())
    for event, url, is_new in addresses:
        tell(f"{'added' if is_new else 'there already':<14} {event:<18} {url}")
    tell(
        f"In the Powens console, under webhooks, these {len(addresses)} must be there with the authentication "
        f"{provider_name(tenant.id)}; set an e-mail for alerts, and take out addresses of an earlier host."
    )


async def _provider(
    registrar: Registrar, config: Config, tenant: Tenant, file: Path, tell: Callable[[str], None]
) -> int:
    name = provider_name(tenant.id)
    provider = await registrar.provider(name)
    if provider is None:
        # Before the call to Powens, which sends the secret once: it must have a place then.
        draft = _draft(file)
        try:
            provider = await registrar.add_provider(name, lambda secret: _store(draft, file, secret))
        finally:
            draft.unlink(missing_ok=True)
        tell(f"{'added':<14} authentication {name}, its secret in {file}")
        return provider
    try:
        config.webhook_secret(tenant)
    except SecretError as missing:
        raise WebhooksError(
            f"{missing} Powens has made this secret before ({name}) and does not tell it again: delete that "
            "authentication in the Powens console, and run this again."
        ) from None
    return provider


def _checked(base: str) -> str:
    """Raises: ConfigError: no address, or one with a path, which a proxy would have to hand on unchanged to be signed."""
    try:
        url = checked_base_url(base)
    except ValueError as mistake:
        raise ConfigError(f"--url: {mistake}") from None
    if url.count("/") > 2:
        raise ConfigError("--url: must hold no path; the path of a post is signed and must arrive as it was sent.")
    return url


def _secret_file(config: Config, tenant: Tenant) -> Path:
    kind, _, rest = (tenant.webhook_secret or "").partition(":")
    if kind != "file":
        raise ConfigError(
            f'tenants.{tenant.id}.webhook_secret: must be "file:PATH"; Powens makes the secret, and it is written there.'
        )
    return (config.source.parent / rest).resolve()


def _draft(file: Path) -> Path:
    """An empty private file beside the one that will be there. Raises: WebhooksError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    if file.exists():
        raise WebhooksError(f"{file} is there, but Powens has no such secret. Delete the file, and run this again.")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise WebhooksError(f"{file} cannot be written: {error.strerror}.") from None
    return draft


def _store(draft: Path, file: Path, secret: str) -> None:
    with draft.open("w", encoding="ascii") as opened:
        opened.write(secret + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    draft.rename(file)


def _listening(host: str, port: int) -> socket.socket:
    """Raises: WebhooksError."""
    from pfo_pipeline.cli.callback_server import open_listener

    try:
        return open_listener(host, port)
    except (OSError, OverflowError) as error:
        raise WebhooksError(
            f"{_host(host)}:{port} cannot be listened on ({error}). Choose another --host or --port."
        ) from None


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@click.group(
    short_help="Receive webhooks from Powens.",
    epilog=examples("pfo webhooks register --tenant smith --url https://hooks.office.example", "pfo webhooks serve"),
)
def webhooks() -> None:
    """What Powens posts as soon as a bank was synced, instead of the next scheduled run."""


@webhooks.command(epilog=examples("pfo webhooks serve", "pfo webhooks serve --host 127.0.0.1 --port 8711"))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8711, show_default=True, help="0 for any free one.")
def serve(host: str, port: int) -> None:
    """Receive posts of Powens, and keep each until the sensor `webhooks` has turned it into a run."""
    serve_webhooks(find_place(), host, port, click.echo)


@webhooks.command(epilog=examples("pfo webhooks register --tenant smith --url https://hooks.office.example"))
@TENANT
@click.option("--url", "base", required=True, metavar="BASE", help="How Powens reaches the receiver: https://HOST")
def register(tenant: str, base: str) -> None:
    """Tell Powens to sign its posts and where to send them; what is there already stays as it is."""
    register_webhooks(find_place(), tenant, base, click.echo)
