"""The server of the benchmarks: a process that serves pages rendered before the first request.

`python -m benchmarks.bank_server CONNECTIONS ACCOUNTS` prints its port on a line, and ends with its standard input.
It serves Powens' routes `/users/me/connections` and `/users/me/accounts` with bearer token, `limit`, `offset` and
`_links.next`; `/usage` returns its cost until then.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from benchmarks import bank
from benchmarks.sizes import BankSize

LARGEST_PAGE = 500
"""Records per page, even if more are requested: half of Powens' own limit, so that 1,000 accounts are two pages."""

_HOST = "127.0.0.1"
_ROOT = "/2.0/users/me/"


class Pages:
    """One list. Pages of the usual size are rendered when the server starts, others at the first request."""

    def __init__(self, key: str, records: list[bytes], origin: str) -> None:
        self._key = key
        self._records = records
        self._origin = origin
        self._rendered: dict[tuple[int, int], bytes] = {}
        for offset in range(0, max(1, len(records)), LARGEST_PAGE):
            self.page(LARGEST_PAGE, offset)

    def page(self, limit: int, offset: int) -> bytes:
        wanted = (min(limit, LARGEST_PAGE), offset)
        if wanted not in self._rendered:
            self._rendered[wanted] = self._render(*wanted)
        return self._rendered[wanted]

    def _render(self, limit: int, offset: int) -> bytes:
        following = offset + limit
        href = f"{self._origin}{_ROOT}{self._key}?limit={limit}&offset={following}"
        link = {"href": href} if following < len(self._records) else None
        frame = json.dumps({"total": len(self._records), "_links": {"self": None, "prev": None, "next": link}})
        body = b", ".join(self._records[offset:following])
        return b'{"' + self._key.encode() + b'": [' + body + b"], " + frame.encode()[1:]


class Usage:
    """Requests answered until now, and the CPU seconds of this process."""

    def __init__(self) -> None:
        self.requests = 0

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self.requests, "cpu_seconds": time.process_time()})


def _serve(lists: Mapping[str, Pages], usage: Usage) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        usage.requests += 1
        if request.headers.get("Authorization") != f"Bearer {bank.TOKEN}":
            return web.json_response({"code": "unauthorized"}, status=401)
        limit, offset = (int(request.query.get(name, default)) for name, default in (("limit", 100), ("offset", 0)))
        return web.Response(body=lists[request.path].page(limit, offset), content_type="application/json")

    return answer


async def _run(size: BankSize) -> None:
    now = bank.utc_now()
    records = {"connections": bank.connections(size, now), "accounts": bank.accounts(size, now)}
    lists: dict[str, Pages] = {}
    usage = Usage()
    app = web.Application()
    for key in records:
        app.router.add_get(_ROOT + key, _serve(lists, usage))
    app.router.add_get("/usage", usage.tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, 0).start()
    port = runner.addresses[0][1]
    # The pages link to each other by the port, which is known only now.
    lists |= {_ROOT + key: Pages(key, found, f"http://{_HOST}:{port}") for key, found in records.items()}
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_run(BankSize(connections=int(sys.argv[1]), accounts=int(sys.argv[2]))))
