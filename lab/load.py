"""Load on a site, as many browsers make it: a fixed number of requests each second, over verified TLS, on kept and on new connections."""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from select import select
from types import SimpleNamespace, TracebackType
from typing import IO

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_parser import RawResponseMessage

from lab import operations
from lab.console import LabError
from lab.layout import REPOSITORY, SITE_CA

FASTEST = 1000
# Of ten requests, in a random order.
_KINDS = ("page",) * 6 + ("api",) * 3 + ("message",)
_PAGES = ("/", "/listings.html", "/styles.css", "/scripts.js")
# Each keeps its own connections.
_BROWSERS = 40
# Seconds. The last is longer than the proxy waits for the app.
_NEXT_ADDRESS, _CONNECT, _ANSWER = 0.25, 3.0, 40.0
# A browser sends a request again when a kept connection ends before its answer began.
_ENDED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)


@dataclass(frozen=True)
class Plan:
    """What to ask: `rate` requests a second at `domain`, which leads to all `addresses`, trusting the PEM file `ca`.

    It ends when it is told to, not before `at_least` requests, and fails after `longest` seconds. `new_share` (0 to 1) of the requests
    open a connection of their own. `run` stands in each message; a Load names its own.
    """

    domain: str
    addresses: tuple[str, ...]
    ca: str
    port: int = 443
    rate: float = 200
    at_least: int = 0
    longest: float = 180
    new_share: float = 0.1
    run: str = ""

    def message(self, number: int) -> dict[str, str]:
        """What the request of this number sends if it is a message; no other request of any load sends the same."""
        return {"name": "Load", "email": "load@lab.test", "body": f"Message {number} of {self.run}"}

    def __post_init__(self) -> None:
        """Refuse what is no load."""
        if not self.addresses:
            raise LabError(f"The load knows no address of {self.domain}.")
        if not 0 < self.rate <= FASTEST:
            raise LabError(
                f"The load takes a rate above 0 and at most {FASTEST} requests a second; found {self.rate:g}."
            )
        if self.at_least > self.rate * self.longest:
            raise LabError(
                f"The load can't make {self.at_least} requests at {self.rate:g} a second within {self.longest:g} seconds."
            )


@dataclass(frozen=True)
class Visit:
    """One request: when it was due (seconds after the load began), its kind, its status or the class of its error, and how long it took.

    The time (milliseconds) is counted from when it was due: a visitor who has to wait is not a visitor who did not come.
    """

    at: float
    kind: str
    outcome: str
    text: str
    ms: float
    retried: bool

    @property
    def failed(self) -> bool:
        """Whether the visitor saw an error."""
        return not (self.outcome.isdigit() and int(self.outcome) < 400)

    def __str__(self) -> str:
        again = ", sent twice" if self.retried else ""
        return f"{self.kind} after {self.at:.2f} s: {self.outcome} in {self.ms:.0f} ms{again} {self.text}".rstrip()


@dataclass(frozen=True)
class Result:
    """All requests of a load. `late_ms` is how far the load fell behind its own schedule at most; `cut` tells that it ran out of time."""

    visits: tuple[Visit, ...]
    seconds: float
    late_ms: float
    cut: bool = False

    @property
    def total(self) -> int:
        """How many requests were made."""
        return len(self.visits)

    @property
    def by_status(self) -> dict[str, int]:
        """How many requests had which status, or which class of error."""
        return dict(sorted(Counter(visit.outcome for visit in self.visits).items()))

    @property
    def failures(self) -> list[Visit]:
        """The requests that failed, by time."""
        return [visit for visit in self.visits if visit.failed]

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return len(self.failures)

    @property
    def retried(self) -> int:
        """How many requests were sent again, because their kept connection was closed before an answer."""
        return sum(visit.retried for visit in self.visits)

    @property
    def slowest(self) -> Visit:
        """The request that took longest."""
        return max(self.visits, key=lambda visit: visit.ms)

    def within(self, share: float) -> float:
        """Milliseconds within which `share` (0 to 1) of the requests were done."""
        times = sorted(visit.ms for visit in self.visits)
        return times[max(0, math.ceil(share * len(times)) - 1)]

    def summary(self) -> dict[str, object]:
        """The numbers, for a report; the first 10 failures with their text."""
        return {
            "total": self.total,
            "seconds": round(self.seconds, 1),
            "failed": self.failed,
            "retried": self.retried,
            "by_status": self.by_status,
            "p50_ms": round(self.within(0.5), 1),
            "p99_ms": round(self.within(0.99), 1),
            "slowest_ms": round(self.slowest.ms, 1),
            "slowest": str(self.slowest),
            "late_ms": round(self.late_ms, 1),
            "failures": [str(visit) for visit in self.failures[:10]],
        }

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} with {status}" for status, count in self.by_status.items())
        lines = [
            f"{self.total} requests in {self.seconds:.0f} s: {self.failed} failed, {self.retried} sent again; {statuses}.",
            f"Half within {self.within(0.5):.0f} ms, 99 of 100 within {self.within(0.99):.0f} ms; "
            f"the slowest: {self.slowest}. The load itself was {self.late_ms:.0f} ms late at most.",
        ]
        return "\n".join([*lines, *(f"  {visit}" for visit in self.failures[:10])])


class Load:
    """Load beside the block of a `with`, from a process of its own; `result` is there after the block.

    Raises LabError when it can't begin, and when it ran out of time before the block and the requests were done.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = replace(plan, run=uuid.uuid4().hex)
        self.result: Result

    def __enter__(self) -> "Load":
        self._errors: IO[str] = tempfile.TemporaryFile("w+")
        command = [sys.executable, "-m", "lab.load", "--plan", json.dumps(asdict(self.plan))]
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self._read(_ANSWER + 20)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._tell("stop\n")
                found = json.loads(self._read(self.plan.longest + _ANSWER + 30))
                visits = tuple(Visit(*visit) for visit in found["visits"])
                self.result = Result(visits, found["seconds"], found["late_ms"], found["cut"])
        finally:
            self._end()
        if kind is None and self.result.cut:
            raise LabError(
                f"The load ran out of time: {self.result.total} requests in {self.plan.longest:g} seconds, at least {self.plan.at_least} "
                "were asked for, and what it ran beside had to be done by then. Give it a longer time, or find out what took so long."
            )

    def _tell(self, words: str) -> None:
        assert self._process.stdin
        try:
            os.write(self._process.stdin.fileno(), words.encode())
        except BrokenPipeError:
            # It ended by itself; what it said last is still to be read.
            return

    def _read(self, seconds: float) -> str:
        """The next line that the process says."""
        assert self._process.stdout
        ready, _, _ = select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            why = self._errors.read().strip()[-500:] or f"it said nothing for {seconds:.0f} seconds"
            raise LabError(f"The load on {self.plan.domain} ended by itself: {why}")
        return line

    def _end(self) -> None:
        # Without its input it ends at once.
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


class _ClosedUnanswered(Exception):
    """A kept connection was closed before its answer began."""


class _Addresses(AbstractResolver):
    """Answers with all addresses of the site, in a new order each time, as a name server does."""

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


class _Crowd:
    """Browsers that keep connections open, and visitors who come once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.rate)
        self._trust = ssl.create_default_context(cafile=plan.ca)
        self._base = f"https://{plan.domain}:{plan.port}"

    async def __aenter__(self) -> "_Crowd":
        self._browsers = [self._session(keep=True) for _ in range(_BROWSERS)]
        self._new = self._session(keep=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (*self._browsers, self._new):
            await session.close()

    def _session(self, keep: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        connector = aiohttp.TCPConnector(
            ssl=self._trust,
            limit=0,
            resolver=_Addresses(self._plan.addresses, self._chance),
            use_dns_cache=False,
            happy_eyeballs_delay=_NEXT_ADDRESS,
            **({"keepalive_timeout": 60} if keep else {"force_close": True}),
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=_ANSWER, sock_connect=_CONNECT),
            trace_configs=[trace],
            # Who comes once does not say so: the server has to treat all alike.
            headers={"Connection": "keep-alive", "User-Agent": "outport-load"},
        )
        # What is sent again is counted here, so the library must not do it by itself.
        session._retry_connection = False
        return session

    async def visit(self, number: int, due: float, began: float) -> Visit:
        """Make the request of this number, due at `due` on the loop's clock."""
        kind = self._chance.choice(_KINDS)
        comes_once = self._chance.random() < self._plan.new_share
        retried = False
        try:
            try:
                session = self._new if comes_once else self._browsers[number % _BROWSERS]
                outcome, text = await self._send(session, kind, number)
            except _ClosedUnanswered:
                retried = True
                outcome, text = await self._send(self._new, kind, number)
        except (aiohttp.ClientError, OSError) as error:
            # asyncio's TimeoutError is an OSError, with no text of its own.
            outcome, text = type(error).__name__, str(error)[:300]
        took = asyncio.get_running_loop().time() - due
        return Visit(round(due - began, 3), kind, outcome, text, round(took * 1000, 1), retried)

    async def _send(self, session: aiohttp.ClientSession, kind: str, number: int) -> tuple[str, str]:
        """Send one request; the status, and for an error the beginning of what it says."""
        told = SimpleNamespace(reused=False)
        body = None
        path = self._chance.choice(_PAGES) if kind == "page" else "/api/v1/listings"
        if kind == "message":
            path = "/api/v1/messages"
            body = self._plan.message(number)
        try:
            answer = await session.request(
                "GET" if body is None else "POST",
                self._base + path,
                json=body,
                allow_redirects=False,
                trace_request_ctx=told,
            )
        except _ENDED as error:
            begun = isinstance(getattr(error, "message", None), RawResponseMessage)
            if told.reused and not begun:
                raise _ClosedUnanswered from error
            raise
        async with answer:
            content = await answer.read()
        text = " ".join(content[:200].decode(errors="replace").split()) if answer.status >= 400 else ""
        return str(answer.status), text


async def _note_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _told: object) -> None:
    context.trace_request_ctx.reused = True


class _Orders:
    """What the process that started this one wants: it says stop, or it is gone."""

    def __init__(self) -> None:
        self.stop = self.gone = False

    def read(self) -> None:
        """Take what is on standard input."""
        if sys.stdin.readline():
            self.stop = True
        else:
            self.gone = True
            asyncio.get_running_loop().remove_reader(sys.stdin)


async def _serve(plan: Plan) -> Result | None:
    """Make the plan's requests until told to stop; None when whoever asked is gone."""
    loop, orders = asyncio.get_running_loop(), _Orders()
    loop.add_reader(sys.stdin, orders.read)
    visits: list[asyncio.Task[Visit]] = []
    late, cut = 0.0, False
    async with _Crowd(plan) as crowd:
        began = loop.time()
        while not orders.gone and not (orders.stop and len(visits) >= plan.at_least):
            due = began + len(visits) / plan.rate
            if due - began > plan.longest:
                cut = True
                break
            await asyncio.sleep(max(0.0, due - loop.time()))
            late = max(late, loop.time() - due)
            visits.append(asyncio.create_task(crowd.visit(len(visits), due, began)))
            if len(visits) == 1:
                visits[0].add_done_callback(lambda _: print("begun", flush=True))
        if orders.gone:
            return None
        done = await asyncio.gather(*visits)
        return Result(tuple(done), loop.time() - began, late * 1000, cut)


def _run_plan(text: str) -> None:
    """What the process of a Load does."""
    # The person's Ctrl-C is for the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found = json.loads(text)
    result = asyncio.run(_serve(Plan(**found | {"addresses": tuple(found["addresses"])})))
    if result:
        visits = [tuple(asdict(visit).values()) for visit in result.visits]
        print(json.dumps({"visits": visits, "seconds": result.seconds, "late_ms": result.late_ms, "cut": result.cut}))


def plan_for_site(rate: float = 200, at_least: int = 0, longest: float = 180) -> Plan:
    """A plan for the lab's site, at all addresses that the lab's DNS gives."""
    visitor = operations.visitor()
    addresses = operations.status().names.get(visitor.domain) or [visitor.address]
    return Plan(visitor.domain, tuple(addresses), str(SITE_CA), rate=rate, at_least=at_least, longest=longest)


def main() -> int:
    """Load on the lab's site for a while; 0 when no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.load", description="Load on the lab's site, and what came of it."
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long (default 30)")
    parser.add_argument("--rate", type=float, default=200, help="requests a second (default 200)")
    parser.add_argument("--plan", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan:
        _run_plan(options.plan)
        return 0
    try:
        if not operations.is_up():
            raise LabError("The lab is not up. Run: bin/lab up")
        with Load(plan_for_site(options.rate, longest=options.seconds + 60)) as load:
            time.sleep(options.seconds)
    except LabError as error:
        print(f"lab.load: {error}", file=sys.stderr)
        return 1
    print(load.result)
    return 1 if load.result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
