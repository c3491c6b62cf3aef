"""The office of the benchmarks: one tenant with one user, whose bank is the benchmarks' server."""

from pathlib import Path

from benchmarks.bank import TOKEN

OFFICE = "bench"
TENANT = "household"

_CONFIG = """
office = "{office}"

[tenants.{tenant}]
domain = "bench-sandbox"
base_url = "{root}"

[[tenants.{tenant}.users]]
id = "member"
token = "file:token"
"""


def write_config(folder: Path, root: str) -> Path:
    """Write the configuration file and the token beside it; returns the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    path = folder / "pfo.toml"
    path.write_text(_CONFIG.format(office=OFFICE, tenant=TENANT, root=root), encoding="utf-8")
    return path
