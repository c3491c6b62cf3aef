"""What keeps commands that need no Dagster quick to start."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def without_pandas(command: Callable[P, R]) -> Callable[P, R]:
    """Run a command, which needs no pandas, as if there were none.

    DuckDB's Python (1.5) imports pandas with numpy and pyarrow for the first parameter of a query, only to look whether it
    is one of pandas' own nulls: more than everything else that such a command does. Where there is none it goes on.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if "pandas" in sys.modules:
            return command(*args, **kwargs)
        sys.modules["pandas"] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there.
        try:
            return command(*args, **kwargs)
        finally:
            del sys.modules["pandas"]

    return run
