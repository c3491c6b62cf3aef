"""`pfo`: one command line for the operator, the analyst and scripts.

Here: which commands there are. What a command needs is imported when it is called, so that `pfo --help` answers at once.
Exit status: 0 well; 1 something that an operator must mend; 2 wrong words on the command line; 130 interrupted.
"""

import click

from pfo_pipeline.cli import alerting, connecting, desk, keeping, operating, reading, running
from pfo_pipeline.cli.group import PfoGroup


@click.group(cls=PfoGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pfo-pipeline", prog_name="pfo")
def main() -> None:
    """A family office's bank accounts and balances, from Powens into one DuckDB ledger."""


for command in (
    running.run,
    running.dev,
    running.simulator,
    running.config,
    running.demo,
    reading.accounts,
    reading.balances,
    reading.status,
    desk.sql,
    desk.export,
    connecting.connect,
    connecting.reconnect,
    connecting.disconnect,
    connecting.connections,
    connecting.webhooks,
    alerting.alerts,
    keeping.identity,
    keeping.verify,
    keeping.erase,
    keeping.rekey,
    operating.backup,
    operating.restore,
    operating.migrate,
    operating.health,
    operating.tidy,
):
    main.add_command(command)
