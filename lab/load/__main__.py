"""The command `python -m lab.load`."""

import argparse
import sys
import time

from lab import operations
from lab.console import LabError
from lab.load import Load, plan_for_site


def main() -> int:
    """Generate load on the lab's site; return the exit status, 0 when no request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.load", description="Generate load on the lab's site and report the result."
    )
    parser.add_argument("--seconds", type=float, default=30, help="duration (default 30)")
    parser.add_argument("--rate", type=float, default=200, help="requests per second (default 200)")
    options = parser.parse_args()
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
