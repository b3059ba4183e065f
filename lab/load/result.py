"""What came of a load."""

import math
from collections import Counter
from dataclasses import dataclass


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
