"""Load on the site during a test, and its results."""

import json
import os

from lab.layout import NUMBER, REPOSITORY
from lab.load import Plan, Result, plan_for_site

# `bin/test soak` uses as much load as two cores can generate during a build.
SOAK = bool(os.environ.get("OUTPORT_SOAK"))
RATE, AT_LEAST, LONGEST = (250, 10_000, 400) if SOAK else (100, 2_500, 300)
_FILE = REPOSITORY / f".cache/test/load-{NUMBER}.json"
RESULTS: dict[str, Result] = {}


def plan() -> Plan:
    """Return a load on all hosts of the site."""
    return plan_for_site(RATE, AT_LEAST, LONGEST)


def quote(name: str, result: Result) -> None:
    """Record the result of a load, in .cache/test/load-LAB.json and for the table at the end."""
    RESULTS[name] = result
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    _FILE.write_text(json.dumps(known | {name: result.summary()}, indent=1) + "\n")
