"""`pfo completion`: what a shell needs to complete the words of `pfo`."""

import click
from click.shell_completion import get_completion_class

from pfo_pipeline.cli.group import examples


@click.command(
    short_help="What makes a shell complete these words.",
    epilog=examples("pfo completion bash", "pfo completion zsh", "pfo completion fish"),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options, tenants, members, connections and accounts.

    \b
    One line, once:
      bash   echo 'eval "$(pfo completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(pfo completion zsh)"' >> ~/.zshrc
      fish   pfo completion fish > ~/.config/fish/completions/pfo.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "pfo", "_PFO_COMPLETE").source())
