"""The result of a load."""

import math
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Visit:
    """One request: when it was due (seconds after the start), its kind, its status or the class of its error, and its response time.

    The response time (milliseconds) is counted from when it was due, so that a delayed request counts as slow.
    """

    at: float
    kind: str
    outcome: str
    text: str
    ms: float
    retried: bool

    @property
    def failed(self) -> bool:
        """Whether the client got an error."""
        return not (self.outcome.isdigit() and int(self.outcome) < 400)

    def __str__(self) -> str:
        retried = ", retried" if self.retried else ""
        return f"{self.kind} after {self.at:.2f} s: {self.outcome} in {self.ms:.0f} ms{retried} {self.text}".rstrip()


@dataclass(frozen=True)
class Result:
    """All requests of a load. `late_ms` is the maximum delay behind its own schedule; `timed_out` is whether it ran out of time."""

    visits: tuple[Visit, ...]
    seconds: float
    late_ms: float
    timed_out: bool = False

    @property
    def total(self) -> int:
        """Number of requests."""
        return len(self.visits)

    @property
    def by_status(self) -> dict[str, int]:
        """Number of requests by status or class of error."""
        return dict(sorted(Counter(visit.outcome for visit in self.visits).items()))

    @property
    def failures(self) -> list[Visit]:
        """The failed requests, by time."""
        return [visit for visit in self.visits if visit.failed]

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        return len(self.failures)

    @property
    def retried(self) -> int:
        """Number of requests that were retried because a persistent connection was closed before the response."""
        return sum(visit.retried for visit in self.visits)

    @property
    def slowest(self) -> Visit:
        """The slowest request."""
        return max(self.visits, key=lambda visit: visit.ms)

    def quantile(self, share: float) -> float:
        """Return the response time of the quantile `share` (0 to 1), milliseconds."""
        times = sorted(visit.ms for visit in self.visits)
        return times[max(0, math.ceil(share * len(times)) - 1)]

    def summary(self) -> dict[str, object]:
        """Return the numbers, with the text of the first 10 failures."""
        return {
            "total": self.total,
            "seconds": round(self.seconds, 1),
            "failed": self.failed,
            "retried": self.retried,
            "by_status": self.by_status,
            "p50_ms": round(self.quantile(0.5), 1),
            "p99_ms": round(self.quantile(0.99), 1),
            "slowest_ms": round(self.slowest.ms, 1),
            "slowest": str(self.slowest),
            "late_ms": round(self.late_ms, 1),
            "failures": [str(visit) for visit in self.failures[:10]],
        }

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} with {status}" for status, count in self.by_status.items())
        lines = [
            f"{self.total} requests in {self.seconds:.0f} s: {self.failed} failed, {self.retried} retried; {statuses}.",
            f"Response time: median {self.quantile(0.5):.0f} ms, p99 {self.quantile(0.99):.0f} ms, "
            f"maximum: {self.slowest}. The load was at most {self.late_ms:.0f} ms behind its schedule.",
        ]
        return "\n".join([*lines, *(f"  {visit}" for visit in self.failures[:10])])
