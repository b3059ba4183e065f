"""Load on a site as from many browsers: a fixed request rate over verified TLS, on persistent and on new connections."""

import json
import os
import subprocess
import sys
import tempfile
import uuid
from dataclasses import asdict, replace
from select import select
from types import TracebackType
from typing import IO

from lab import operations
from lab.console import LabError
from lab.layout import REPOSITORY, SITE_CA
from lab.load.plan import RESPONSE_TIMEOUT, Plan
from lab.load.result import Result, Visit

__all__ = ["Load", "Plan", "Result", "Visit", "plan_for_site"]


class Load:
    """Load in parallel with the block of a `with`, from its own process; `result` is available after the block.

    Raises LabError when it can't start, and when it runs out of time before the block and the requests are complete.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = replace(plan, run=uuid.uuid4().hex)
        self.result: Result

    def __enter__(self) -> "Load":
        self._errors: IO[str] = tempfile.TemporaryFile("w+")
        command = [sys.executable, "-m", "lab.load.worker", json.dumps(asdict(self.plan))]
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self._read(RESPONSE_TIMEOUT + 20)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send("stop\n")
                found = json.loads(self._read(self.plan.longest + RESPONSE_TIMEOUT + 30))
                visits = tuple(Visit(*visit) for visit in found["visits"])
                self.result = Result(visits, found["seconds"], found["late_ms"], found["timed_out"])
        finally:
            self._end()
        if kind is None and self.result.timed_out:
            raise LabError(
                f"The load ran out of time: {self.result.total} requests in {self.plan.longest:g} seconds, at least {self.plan.at_least} "
                "were required before the end of its block. Increase the timeout, or find the cause of the delay."
            )

    def _send(self, text: str) -> None:
        assert self._process.stdin
        try:
            os.write(self._process.stdin.fileno(), text.encode())
        except BrokenPipeError:
            # It has exited; `_read` reports its error.
            return

    def _read(self, seconds: float) -> str:
        """Return the next line of the process's output."""
        assert self._process.stdout
        ready, _, _ = select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            why = self._errors.read().strip()[-500:] or f"it had no output for {seconds:.0f} seconds"
            raise LabError(f"The load on {self.plan.domain} exited unexpectedly: {why}")
        return line

    def _end(self) -> None:
        # It exits when its standard input is closed.
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def plan_for_site(rate: float = 200, at_least: int = 0, longest: float = 180) -> Plan:
    """Return a plan for the lab's site, at all of its addresses in the lab's DNS."""
    visitor = operations.visitor()
    addresses = operations.status().names.get(visitor.domain) or [visitor.address]
    return Plan(visitor.domain, tuple(addresses), str(SITE_CA), rate=rate, at_least=at_least, longest=longest)
