"""The results of the benchmark, as numbers and as a table."""

import statistics
from dataclasses import dataclass, field

from lab.load import Result


@dataclass
class Times:
    """Times of one way per round: seconds of the whole command, seconds until the new version's first response, and the load's result."""

    total: list[float] = field(default_factory=list)
    until_live: list[float] = field(default_factory=list)
    loads: list[Result] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Return the numbers."""
        return {
            "seconds": [round(value, 1) for value in self.total],
            "median_seconds": round(statistics.median(self.total), 1),
            "median_seconds_until_new": round(statistics.median(self.until_live), 1),
            "failed": sum(result.failed for result in self.loads),
            "requests": sum(result.total for result in self.loads),
            "slowest_ms": max(result.slowest.ms for result in self.loads),
            "rounds": [result.summary() for result in self.loads],
        }


def table(found: dict[str, dict[str, object]]) -> str:
    """Return the numbers as a table."""
    rows = [["", "time (median)", "new version responds after", "failed requests", "slowest request"]]
    rows += [
        [
            name,
            f"{numbers['median_seconds']} s",
            f"{numbers['median_seconds_until_new']} s",
            f"{numbers['failed']} of {numbers['requests']}",
            f"{numbers['slowest_ms']:.0f} ms",
        ]
        for name, numbers in found.items()
    ]
    first, second = found.values()
    names = ("median_seconds", "median_seconds_until_new", "failed", "slowest_ms")
    rows.append([" / ".join(found), *(_ratio(first[name], second[name]) for name in names)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    note = "A deploy's time includes the start of the new release next to the old one, and the monitoring of the live traffic."
    return "\n".join([*lines, "", note])


def _ratio(first: object, second: object) -> str:
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        raise TypeError(f"not numbers: {first!r}, {second!r}")
    return f"{first / second:.2f}" if second else "-"
