"""A unit's work to measure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _no_facts() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Work:
    """The result of a unit's `prepare`. `facts` is called after the work; its result must fit JSON."""

    run: Callable[[], object]
    facts: Callable[[], Mapping[str, Any]] = _no_facts
