"""Commands that talk with Powens: about a connection, and about what it posts."""

import click


@click.command()
@click.argument("tenant")
@click.argument("connection")
def link(tenant: str, connection: str) -> None:
    """A link for the member to reconnect a bank, with an access code: good for 30 minutes, or one use."""
    from pfo_pipeline.commands.connections import access_link
    from pfo_pipeline.commands.place import find_place

    click.echo(access_link(find_place(), tenant, connection))


@click.group()
def webhooks() -> None:
    """What Powens posts as soon as a bank was synced, instead of the next scheduled run."""


@webhooks.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8711, show_default=True, help="0 for any free one.")
def serve(host: str, port: int) -> None:
    """Receive posts of Powens, and keep each until the sensor `webhooks` has turned it into a run."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import serve_webhooks

    serve_webhooks(find_place(), host, port, click.echo)


@webhooks.command()
@click.option("--tenant", required=True, metavar="NAME", help="Whose Powens domain.")
@click.option("--url", "base", required=True, metavar="BASE", help="How Powens reaches the receiver: https://HOST")
def register(tenant: str, base: str) -> None:
    """Tell Powens to sign its posts and where to send them; what is there already stays as it is."""
    from pfo_pipeline.commands.place import find_place
    from pfo_pipeline.commands.webhooks import register_webhooks

    register_webhooks(find_place(), tenant, base, click.echo)
