"""Runs every check of the project in parallel lanes, for `bin/test`."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "test"
PROGRAMS = ROOT / ".venv" / "bin"
TIMEOUT = 900
LOG_TAIL = 150
# Of checks without a lab: the lanes with labs take longest, and leave a quarter of the processor's time to others.
NICENESS = 5
OLDER_SUITE = "bookworm"
# The labs of the tests; users have the lower numbers.
LABS = (8, 9)
TWO_HOSTS = "two_hosts"
# End-to-end tests of each lab, in this order: the first of a lab converges a bare host, and two_hosts needs a second one.
FIRST_LAB = (
    *("bare_host", "convergence", "database", "database_users", "no_failed_request", "refusals", "refused_releases"),
    *("backup", "browser", "host", "site", "terminal", "troubleshooting"),
)
SECOND_LAB = ("any_app", "package", TWO_HOSTS)
# All of its tests are of the soak; it starts labs of its own.
LAST_OF_SOAK = "catalogue"
# These provision and delete an account.
ACCOUNT = tuple(f"tests/test_{name}.py" for name in ("provision", "role_permissions", "secrets", "teardown"))
# Time limits of those that take longer than TIMEOUT, seconds.
LONGER = {LAST_OF_SOAK: 5400, "no_failed_request": 1800, "any_app": 1800, TWO_HOSTS: 1800}

# Plugins that the end-to-end tests do not use, and that take a second to load.
UNUSED_PLUGINS = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")


class Run:
    """One run: counts passed and failed tests, and shows each check with its duration."""

    def __init__(self, soak: bool) -> None:
        self.soak = soak
        self.passed = self.failed = 0
        self.began = time.monotonic()
        self._lock = threading.Lock()
        LOGS.mkdir(parents=True, exist_ok=True)

    def check(
        self, name: str, command: list[str], timeout: float = 900, report: Path | None = None, lab: int = 0
    ) -> bool:
        """Run a command as one check, or as many as its JUnit report has; show the end of its output when it fails.

        `lab` is the number of the lab that it uses, 0 for none.
        """
        log = LOGS / f"{re.sub('[^a-z0-9.-]+', '-', name.lower())}.log"
        if report:
            report.unlink(missing_ok=True)
        began = time.monotonic()
        self._log(f"… {name}")
        with log.open("w") as output:
            try:
                code = subprocess.run(
                    command if lab else ["nice", "-n", str(NICENESS), *command],
                    cwd=ROOT,
                    env=environment(lab, self.soak),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=timeout,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                output.write(f"\n{name} timed out after {timeout:.0f} seconds.\n")
                code = 1
        passed, failed = count(report) if report and report.exists() else (0, 0)
        if code and not failed:
            failed += 1
        elif not code and not passed:
            passed = 1
        reported = (
            f"{'✗' if failed else '✓'} {name}: {passed} passed, {failed} failed  {time.monotonic() - began:.0f} s"
        )
        if failed:
            reported = "\n  | ".join([reported, *log.read_text(errors="replace").splitlines()[-LOG_TAIL:]])
        with self._lock:
            self.passed += passed
            self.failed += failed
        self._log(reported)
        return not failed

    def _log(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        with self._lock:
            print(f"{minutes:3}:{seconds:02} {text}", flush=True)


def environment(lab: int, soak: bool) -> dict[str, str]:
    """Return the environment of a check: the project's tools first in the path, plain output, and the given lab only."""
    soak_variables = {"OUTPORT_SOAK": "1", "MOLECULE_SUITE": OLDER_SUITE} if soak else {}
    return {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        # Not that of production, which would query a real account.
        "ANSIBLE_INVENTORY": str(ROOT / "tests/data/inventory.yml"),
        "OUTPORT_LAB": str(lab or ""),
        **soak_variables,
    }


def lab_environment() -> list[str]:
    """Return the command prefix that sets the lab's environment."""
    return ["/bin/sh", "-c", 'eval "$(bin/lab env)"; exec "$@"', "sh"]


def count(report: Path) -> tuple[int, int]:
    """Return the numbers of passed and failed tests of a JUnit report."""
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, bad = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (["tests"], ["failures", "errors"])
    )
    return total - bad, bad


def lint(run: Run) -> None:
    """Run the linters, without a skipped rule."""
    run.check("lint: ruff", ["ruff", "check", "."])
    run.check("lint: ruff format", ["ruff", "format", "--check", "."])
    run.check("lint: yamllint", ["yamllint", "--strict", "."])
    run.check("lint: ansible-lint", ["ansible-lint", "--strict"])
    run.check("lint: shellcheck", ["shellcheck", *shell_scripts()])
    # Common misspellings, and the project's own vocabulary.
    run.check(
        "lint: codespell",
        [
            "codespell",
            "--dictionary",
            "-",
            "--dictionary",
            "tests/data/terms.txt",
            "--ignore-words-list",
            # Names of packages, and a command of systemctl.
            "selectin,connexion,reenable",
            *prose(),
        ],
    )


def prose() -> list[str]:
    """Return the project's text files, without generated ones and those with misspellings on purpose."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    other = re.compile(r"\.(svg|jpg|png|webp|ico|txt)$|amis\.json$|^tests/test_templates\.py$")
    return [name for name in listed.splitlines() if not other.search(name) and (ROOT / name).is_file()]


def shell_scripts() -> list[str]:
    """Return the project's shell scripts."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [
        name
        for name in tracked
        # Templates are checked after rendering: tests/test_templates.py.
        if name
        and not name.endswith(".j2")
        and (ROOT / name).is_file()
        and (ROOT / name).open("rb").read(9) == b"#!/bin/sh"
    ]


def fast(run: Run) -> None:
    """Run the tests that need no host: those that run playbooks on an AWS account of their own, then all others."""
    others = ["tests", "--ignore=tests/end_to_end", *(f"--ignore={name}" for name in ACCOUNT)]
    pytest(run, "the account", list(ACCOUNT), timeout=1800)
    pytest(run, "fast tests", others, timeout=1800)


def pytest(run: Run, name: str, arguments: list[str], lab: int = 0, timeout: int = TIMEOUT) -> None:
    """Run pytest and count its tests."""
    report = LOGS / f"{name.replace(':', '').replace(' ', '-')}.xml"
    selected = [] if run.soak else ["-m", "not soak"]
    command = ["pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *selected, *arguments]
    run.check(name, command, timeout, report, lab)


def roles(run: Run, lab: int) -> None:
    """Test each role on a fresh host: check mode, converge, idempotence, verify."""
    if not bring_up(run, lab, "services"):
        return
    for scenario in sorted(directory.parent.name for directory in (ROOT / "molecule").glob("*/molecule.yml")):
        command = [*lab_environment(), "molecule", "test", "-s", scenario]
        run.check(f"molecule: {scenario}", command, TIMEOUT, LOGS / f"molecule-{scenario}.xml", lab)


def stack(run: Run, lab: int) -> None:
    """Run one lab's share of the end-to-end tests, starting from nothing."""
    if not bring_up(run, lab, "provision"):
        return
    if lab == LABS[1]:
        pytest(run, "the app on MySQL", ["tests/app", "--mysql"], lab)
    for module in share(lab, run.soak):
        if module == TWO_HOSTS and not bring_up(run, lab, "site", "--hosts", "2"):
            return
        arguments = [*UNUSED_PLUGINS, f"tests/end_to_end/test_{module}.py"]
        timeout = LONGER.get(module, TIMEOUT) if run.soak else TIMEOUT
        pytest(run, f"end to end: {module.replace('_', ' ')}", arguments, lab, timeout)


def share(lab: int, soak: bool) -> tuple[str, ...]:
    """Return the end-to-end test modules of a lab; those that are in no list come last in the first one."""
    if lab == LABS[1]:
        return SECOND_LAB
    found = sorted(path.stem.removeprefix("test_") for path in (ROOT / "tests/end_to_end").glob("test_*.py"))
    rest = [name for name in found if name not in (*FIRST_LAB, *SECOND_LAB, LAST_OF_SOAK)]
    return (*FIRST_LAB, *rest, *([LAST_OF_SOAK] if soak else []))


def bring_up(run: Run, lab: int, until: str, *options: str) -> bool:
    """Start a lab up to a stage."""
    command = ["bin/lab", "up", "--until", until, *options, *(["--suite", OLDER_SUITE] if run.soak else [])]
    return run.check(f"{' '.join(command)} (lab {lab})", command, 1800, lab=lab)


def install(run: Run) -> None:
    """Install the Debian packages of the checks, before the lanes start."""
    programs = {
        "shellcheck": ["shellcheck"],
        "git-lfs": ["git-lfs"],
        "chromium": ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"],
    }
    missing = [package for name, packages in programs.items() if not shutil.which(name) for package in packages]
    if missing and os.geteuid() == 0:
        run.check("apt-get update", ["apt-get", "update"])
        run.check(f"install {' '.join(missing)}", ["apt-get", "install", "--yes", "--no-install-recommends", *missing])


# Parallel lanes; the stages of a lane run one after the other.
STAGES = ("lint", "fast", "roles", "stack")
# Long stages, not part of the default: roles and stack on the older Debian, with loads four times as long.
SOAK = "soak"
LANES: tuple[tuple[tuple[str, Callable[[Run], None]], ...], ...] = (
    (("lint", lint), ("fast", fast)),
    (("roles", lambda run: roles(run, LABS[1])), ("stack", lambda run: stack(run, LABS[1]))),
    (("stack", lambda run: stack(run, LABS[0])),),
)


def main() -> int:
    """Run the requested stages; return the exit status."""
    parser = argparse.ArgumentParser(prog="bin/test", description="Run the project's checks: the given stages, or all.")
    parser.add_argument("stage", nargs="*", choices=[*STAGES, SOAK, []], help=", ".join([*STAGES, SOAK]))
    requested = parser.parse_args().stage or STAGES
    stages = {*requested, "roles", "stack"} if SOAK in requested else set(requested)
    run = Run(SOAK in requested)
    install(run)
    labs = LABS if {"roles", "stack"} & stages else ()
    for lab in labs:
        run.check(f"bin/lab down (lab {lab}, of an interrupted run)", ["bin/lab", "down"], lab=lab)
    try:
        with ThreadPoolExecutor() as pool:
            lanes = [[work for name, work in lane if name in stages] for lane in LANES]
            list(pool.map(lambda lane: [work(run) for work in lane], lanes))
    finally:
        for lab in labs:
            run.check(f"bin/lab down (lab {lab})", ["bin/lab", "down"], lab=lab)
    print(
        f"\nAll stages took {(time.monotonic() - run.began) / 60:.1f} minutes; the logs are in {LOGS.relative_to(ROOT)}/."
    )
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
