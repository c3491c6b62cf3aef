"""`python -m pfo_pipeline.simulator`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pfo_pipeline.simulator.paris_time import from_text
from pfo_pipeline.simulator.server import Options, PortUnusable, run

_AFTERWORD = """\
An empty world needs a domain. This answers with its base_url, client_id and tokens; webview_url is URL/webview/en:
  curl -X POST URL/admin/domains \\
    -d '{{"domain": "smith-sandbox", "redirect_uris": ["http://127.0.0.1:8765/powens"]}}'

Examples:
  {prog}
  {prog} --world empty --port 8700
"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m pfo_pipeline.simulator") -> None:
    """Read the command line, or `arguments`, and run."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A Powens on loopback.",
        epilog=_AFTERWORD.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--world", choices=("demo", "empty"), default="demo")
    parser.add_argument("--port", type=port, default=0, help="0 for any free one")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--now", type=from_text, help="ISO 8601; without an offset it is Paris time")
    parser.add_argument("--frozen", action="store_true", help="the clock only moves when told to")
    parser.add_argument("--rate-limit", type=int, default=0, help="calls per minute and domain, 0 for none")
    parser.add_argument("--page-size", type=int, help="upper bound of a list page")
    parser.add_argument("--state-dir", type=Path, help="where to write the demo configuration")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input ends")
    options = Options(**vars(parser.parse_args(arguments)))
    try:
        run(options)
    except PortUnusable as problem:
        parser.exit(1, f"{prog}: {problem}\n")


def port(text: str) -> int:
    """A port number, 0 for any free one. Raises: ValueError, ArgumentTypeError."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{number} is no port: 0 to 65535")
    return number


if __name__ == "__main__":
    main()
