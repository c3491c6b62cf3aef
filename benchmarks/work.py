"""What a unit hands over to be measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _no_facts() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Work:
    """What a unit's `prepare` returns. `facts` is asked once the work is done; JSON must carry its answer."""

    run: Callable[[], object]
    facts: Callable[[], Mapping[str, Any]] = _no_facts
