"""The machine of the measurements, without its name or any path."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = ("dagster", "duckdb", "pyarrow", "pandas", "httpx", "aiohttp", "pydantic")
_GIB = 1024**3


def description() -> Mapping[str, str]:
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / _GIB:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def load_average() -> str:
    """Of the last minute: above the number of cores, wall times include the effect of other programs."""
    return f"{os.getloadavg()[0]:.1f}"


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor() or "unknown"
