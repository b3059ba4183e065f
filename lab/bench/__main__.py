"""The command `bin/bench`."""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from lab import operations
from lab.bench.measure import deploy
from lab.bench.report import table
from lab.console import LabError


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run one comparison and return the exit status: 0 success, 1 an error, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="bin/bench", description="Compare Outport with manual deployment, in the running lab, on the same host."
    )
    parser.add_argument("what", choices=["deploy"], help="deploy: a change of one line, with unchanged dependencies")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to a file")
    options = parser.parse_args()
    # Everything that was created is removed, whatever the outcome.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if not operations.is_up():
            raise LabError("The lab is not up. Run: bin/lab up")
        found = deploy()
    except LabError as error:
        print(f"bin/bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bin/bench: interrupted; everything that it created was removed.", file=sys.stderr)
        return 130
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
