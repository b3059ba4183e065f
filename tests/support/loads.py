"""Load on the site during a test, and its results."""

import json
import os

from lab.layout import NUMBER, REPOSITORY
from lab.load import Plan, Result, plan_for_site

# `bin/test soak` uses the maximum load that two cores can generate during a build.
SOAK = bool(os.environ.get("OUTPORT_SOAK"))
RATE, AT_LEAST, LONGEST = (250, 10_000, 400) if SOAK else (100, 2_500, 300)
_FILE = REPOSITORY / f".cache/test/load-{NUMBER}.json"
RESULTS: dict[str, Result] = {}


def plan() -> Plan:
    """Return a load on all hosts of the site."""
    return plan_for_site(RATE, AT_LEAST, LONGEST)


def record(name: str, result: Result) -> None:
    """Record the result of a load, in .cache/test/load-LAB.json and for the summary."""
    RESULTS[name] = result
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    recorded = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    _FILE.write_text(json.dumps(recorded | {name: result.summary()}, indent=1) + "\n")
