"""`pfo`: one command line for the operator, the analyst and scripts.

Each command imports what it needs when it is called, so that `pfo --help` answers at once.
Results go to standard output, everything else to standard error. Exit status: 0 success; 1 an error that an operator must fix;
2 a wrong command line (of `pfo health`: critical); 130 interrupted.
"""

import click

from pfo_pipeline.cli import alerting, completion, connecting, desk, keeping, operating, reading, running
from pfo_pipeline.cli.group import PfoGroup, examples


@click.group(
    cls=PfoGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples("pfo run", "pfo status", "pfo sql 'from totals'"),
)
@click.version_option(package_name="pfo-pipeline", prog_name="pfo")
def main() -> None:
    """A family office's bank accounts and balances, from Powens into one DuckDB ledger.

    Begin with pfo run: with nothing configured it reads a simulated bank.
    """


main.add_under("Run", running.run, running.dev, running.config, running.demo, running.simulator)
main.add_under("Read", reading.status, reading.balances, reading.accounts, desk.report, desk.sql, desk.export)
main.add_under(
    "Connect banks",
    connecting.connect,
    connecting.reconnect,
    connecting.connections,
    connecting.disconnect,
    connecting.webhooks,
)
main.add_under(
    "Keep the ledger", keeping.verify, keeping.identity, keeping.seen, keeping.rekey, keeping.end, keeping.erase
)
main.add_under(
    "Operate",
    alerting.alerts,
    operating.health,
    operating.backup,
    operating.restore,
    operating.migrate,
    operating.tidy,
    completion.completion,
)
