"""The pipeline's configuration for the demo world."""

import json
import os
from pathlib import Path

from pfo_pipeline.simulator import demo
from pfo_pipeline.simulator.state import World


def write(world: World, folder: Path, url: str) -> Path:
    """Write `pfo.toml` and its secrets. A new folder is private.

    Args:
        url: Root URL of the running simulator.
    Returns:
        The path of the configuration file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = ['office = "demo"']
    for tenant in demo.TENANTS:
        domain = world.domains[tenant.domain]
        secret_file = f"{tenant.key}.client_secret"
        _write_private(folder / secret_file, domain.client_secret)
        lines += [
            "",
            f"[tenants.{tenant.key}]",
            f"name = {_quoted(tenant.name)}",
            f"domain = {_quoted(tenant.domain)}",
            f"base_url = {_quoted(f'{url}/{tenant.domain}/2.0')}",
            f"client_id = {_quoted(domain.client_id)}",
            f"client_secret = {_quoted(f'file:{secret_file}')}",
            f"redirect_uri = {_quoted(demo.REDIRECT_URI)}",
            f"webview_url = {_quoted(f'{url}/webview/en')}",
        ]
        for member in tenant.members:
            token_file = f"{tenant.key}.{member.key}.token"
            _write_private(folder / token_file, demo.member_token(domain, member))
            lines += [
                "",
                f"[[tenants.{tenant.key}.users]]",
                f"id = {_quoted(member.key)}",
                f"name = {_quoted(member.name)}",
                f"powens_id = {member.powens_id}",
                f"token = {_quoted(f'file:{token_file}')}",
            ]
    return _write_private(folder / "pfo.toml", "\n".join(lines) + "\n")


def _quoted(text: str) -> str:
    # A JSON string is also a TOML basic string.
    return json.dumps(text, ensure_ascii=False)


def _write_private(path: Path, text: str) -> Path:
    """Replace the file in one step, so that no reader sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return draft.replace(path)
