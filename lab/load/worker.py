"""The process that makes a load's requests: `python -m lab.load.worker PLAN`.

It prints `begun` at the first response, ends when it reads a line or the end of its input, and then prints the result.
"""

import asyncio
import json
import random
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_parser import RawResponseMessage

from lab.load.plan import RESPONSE_TIMEOUT, Plan
from lab.load.result import Result, Visit

# Of ten requests, in a random order.
_KINDS = ("page",) * 6 + ("api",) * 3 + ("message",)
_PAGES = ("/", "/listings.html", "/styles.css", "/scripts.js", "/scripts/listings.js")
# Each has its own persistent connections.
_BROWSERS = 40
# Seconds.
_NEXT_ADDRESS_DELAY, _CONNECT_TIMEOUT = 0.25, 3.0
# A browser retries a request when a persistent connection is closed before the response began.
_CLOSED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


class _ClosedWithoutResponse(Exception):
    """A persistent connection was closed before the response began."""


class _Addresses(AbstractResolver):
    """Resolves the site to all of its addresses, in a new order each time, as a name server does."""

    def __init__(self, addresses: Sequence[str], chance: random.Random) -> None:
        self._addresses, self._chance = addresses, chance

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._chance.sample(self._addresses, len(self._addresses))
        ]

    async def close(self) -> None:
        """Nothing is open."""


class _Clients:
    """Browsers with persistent connections, and clients with a single request."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.rate)
        self._trust = ssl.create_default_context(cafile=plan.ca)
        self._base = f"https://{plan.domain}:{plan.port}"

    async def __aenter__(self) -> "_Clients":
        self._browsers = [self._session(keep=True) for _ in range(_BROWSERS)]
        self._new = self._session(keep=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (*self._browsers, self._new):
            await session.close()

    def _session(self, keep: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_record_reuse)
        connector = aiohttp.TCPConnector(
            ssl=self._trust,
            limit=0,
            resolver=_Addresses(self._plan.addresses, self._chance),
            use_dns_cache=False,
            happy_eyeballs_delay=_NEXT_ADDRESS_DELAY,
            **({"keepalive_timeout": 60} if keep else {"force_close": True}),
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=RESPONSE_TIMEOUT, sock_connect=_CONNECT_TIMEOUT),
            trace_configs=[trace],
            # A single request has the same headers, so that the server treats all alike.
            headers={"Connection": "keep-alive", "User-Agent": "outport-load"},
        )
        # Retries are counted here, so the library must not retry automatically.
        session._retry_connection = False
        return session

    async def visit(self, number: int, due: float, began: float) -> Visit:
        """Send the request with this number, due at `due` on the loop's clock."""
        kind = self._chance.choice(_KINDS)
        once = self._chance.random() < self._plan.new_share
        retried = False
        try:
            try:
                session = self._new if once else self._browsers[number % _BROWSERS]
                outcome, text = await self._send(session, kind, number)
            except _ClosedWithoutResponse:
                retried = True
                outcome, text = await self._send(self._new, kind, number)
        except (aiohttp.ClientError, OSError) as error:
            # asyncio's TimeoutError is an OSError, without a text.
            outcome, text = type(error).__name__, str(error)[:300]
        took = asyncio.get_running_loop().time() - due
        return Visit(round(due - began, 3), kind, outcome, text, round(took * 1000, 1), retried)

    async def _send(self, session: aiohttp.ClientSession, kind: str, number: int) -> tuple[str, str]:
        """Send one request; return the status, and for an error the beginning of the body."""
        trace = SimpleNamespace(reused=False)
        body = None
        path = self._chance.choice(_PAGES) if kind == "page" else "/api/v1/listings"
        if kind == "message":
            path = "/api/v1/messages"
            body = self._plan.message(number)
        try:
            response = await session.request(
                "GET" if body is None else "POST",
                self._base + path,
                json=body,
                allow_redirects=False,
                trace_request_ctx=trace,
            )
        except _CLOSED as error:
            begun = isinstance(getattr(error, "message", None), RawResponseMessage)
            if trace.reused and not begun:
                raise _ClosedWithoutResponse from error
            raise
        async with response:
            content = await response.read()
        text = " ".join(content[:200].decode(errors="replace").split()) if response.status >= 400 else ""
        return str(response.status), text


async def _record_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


class _Control:
    """The parent process's commands: stop, or end of input."""

    def __init__(self) -> None:
        self.stop = self.parent_exited = False

    def read(self) -> None:
        """Read standard input."""
        if sys.stdin.readline():
            self.stop = True
        else:
            self.parent_exited = True
            asyncio.get_running_loop().remove_reader(sys.stdin)


async def _serve(plan: Plan) -> Result | None:
    """Send the plan's requests until stopped; None when the parent process has exited."""
    loop, control = asyncio.get_running_loop(), _Control()
    loop.add_reader(sys.stdin, control.read)
    visits: list[asyncio.Task[Visit]] = []
    late, timed_out = 0.0, False
    async with _Clients(plan) as clients:
        began = loop.time()
        while not control.parent_exited and not (control.stop and len(visits) >= plan.at_least):
            due = began + len(visits) / plan.rate
            if due - began > plan.longest:
                timed_out = True
                break
            await asyncio.sleep(max(0.0, due - loop.time()))
            late = max(late, loop.time() - due)
            visits.append(asyncio.create_task(clients.visit(len(visits), due, began)))
            if len(visits) == 1:
                visits[0].add_done_callback(lambda _: print("begun", flush=True))
        if control.parent_exited:
            return None
        done = await asyncio.gather(*visits)
        return Result(tuple(done), loop.time() - began, late * 1000, timed_out)


def main(text: str) -> None:
    """Send the requests of a plan (JSON), and print the result as JSON."""
    # Ctrl-C is handled by the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found = json.loads(text)
    result = asyncio.run(_serve(Plan(**found | {"addresses": tuple(found["addresses"])})))
    if result:
        visits = [tuple(asdict(visit).values()) for visit in result.visits]
        numbers = {"seconds": result.seconds, "late_ms": result.late_ms, "timed_out": result.timed_out}
        print(json.dumps({"visits": visits, **numbers}))


if __name__ == "__main__":
    main(sys.argv[1])
