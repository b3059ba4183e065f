"""Runs every check of the project, stage by stage, and counts: what `bin/test` does."""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "test"
PROGRAMS = ROOT / ".venv" / "bin"
SCENARIO_TIMEOUT = 900


class Run:
    """One run: counts what passed and failed, and shows each check with its time."""

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self._lock = threading.Lock()
        LOGS.mkdir(parents=True, exist_ok=True)

    def check(self, name: str, command: list[str], timeout: float = 900, report: Path | None = None) -> bool:
        """Run a command as one check, or as many as its JUnit report tells; show the end of its output when it fails."""
        log = LOGS / f"{name.replace(' ', '-').replace('/', '-')}.log"
        if report:
            report.unlink(missing_ok=True)
        print(f"… {name}", flush=True)
        began = time.monotonic()
        with log.open("w") as output:
            try:
                code = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=timeout,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                output.write(f"\n{name} did not end within {timeout:.0f} seconds.\n")
                code = 1
        passed, failed = count(report) if report and report.exists() else (0, 0)
        if code and not failed:
            failed += 1
        elif not code and not passed:
            passed = 1
        told = f"{'✗' if failed else '✓'} {name}: {passed} passed, {failed} failed  {time.monotonic() - began:.0f} s"
        if failed:
            told = "\n  | ".join([told, *log.read_text(errors="replace").splitlines()[-80:]])
        with self._lock:
            self.passed += passed
            self.failed += failed
            print(told, flush=True)
        return not failed


def environment() -> dict[str, str]:
    """What checks see: the project's tools first, plain output."""
    return {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        # Not the one of production, which asks a real account.
        "ANSIBLE_INVENTORY": str(ROOT / "tests/data/inventory.yml"),
    }


def lab_environment() -> list[str]:
    """The words that run a command with the lab's environment."""
    return ["/bin/sh", "-c", 'eval "$(bin/lab env)"; exec "$@"', "sh"]


def count(report: Path) -> tuple[int, int]:
    """Passed and failed tests of a JUnit report."""
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, bad = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (["tests"], ["failures", "errors"])
    )
    return total - bad, bad


def lint(run: Run) -> None:
    """Formatting and the linters, without a skipped rule."""
    run.check("lint: ruff", ["ruff", "check", "."])
    run.check("lint: ruff format", ["ruff", "format", "--check", "."])
    run.check("lint: yamllint", ["yamllint", "--strict", "."])
    run.check("lint: ansible-lint", ["ansible-lint", "--strict"])
    if shutil.which("shellcheck") is None and os.geteuid() == 0:
        run.check("install shellcheck", ["apt-get", "install", "--yes", "--no-install-recommends", "shellcheck"])
    run.check("lint: shellcheck", ["shellcheck", *shell_scripts()])


def shell_scripts() -> list[str]:
    """The project's files that begin as a shell script."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [
        name
        for name in tracked
        # Of a template, what is rendered is a script: see tests/test_templates.py.
        if name
        and not name.endswith(".j2")
        and (ROOT / name).is_file()
        and (ROOT / name).open("rb").read(9) == b"#!/bin/sh"
    ]


def fast(run: Run) -> None:
    """What needs no host."""
    pytest(run, "fast tests", ["tests", "--ignore=tests/end_to_end"])


def pytest(run: Run, name: str, arguments: list[str], before: list[str] | None = None) -> None:
    """Run pytest and count its tests."""
    report = LOGS / f"{name.replace(':', '').replace(' ', '-')}.xml"
    run.check(
        name, [*(before or []), "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments], report=report
    )


def roles(run: Run) -> None:
    """Each role on a fresh host: checked, converged, converged again without a change, looked at."""
    if not lab(run, "services"):
        return
    for scenario in scenarios():
        molecule(run, scenario)


def molecule(run: Run, scenario: str) -> None:
    """Run one scenario and count what its tests look at."""
    command = [*lab_environment(), "molecule", "test", "-s", scenario]
    run.check(f"molecule: {scenario}", command, SCENARIO_TIMEOUT, LOGS / f"molecule-{scenario}.xml")


def scenarios() -> Iterator[str]:
    """The scenarios of single roles."""
    return (
        folder.parent.name
        for folder in sorted((ROOT / "molecule").glob("*/molecule.yml"))
        if folder.parent.name != "default"
    )


def stack(run: Run) -> None:
    """The whole stack, from nothing to the site, then what it promises."""
    if lab(run, "provision"):
        run.check("site.yml --check --diff on a bare host", ["bin/lab", "play", "site.yml", "--check", "--diff"])
    if lab(run, "site"):
        molecule(run, "default")
        pytest(run, "the app on MySQL", ["tests/app", "--mysql"])
        # In the order of their names: the one that ends with two hosts is the last.
        for module in sorted((ROOT / "tests/end_to_end").glob("test_*.py")):
            pytest(run, f"end to end: {module.stem.removeprefix('test_').replace('_', ' ')}", [str(module)])


def lab(run: Run, until: str) -> bool:
    """Bring the lab up to a stage."""
    return run.check(f"bin/lab up --until {until}", ["bin/lab", "up", "--until", until], 1800)


# In their order; the stages of one group run side by side: fast tests work while the roles' mostly wait for their hosts.
GROUPS: tuple[dict[str, Callable[[Run], None]], ...] = (
    {"lint": lint},
    {"fast": fast, "roles": roles},
    {"stack": stack},
)


def main() -> int:
    """Run the asked stages; 0 when all passed."""
    parser = argparse.ArgumentParser(
        prog="bin/test", description="Run the project's checks; without a name, all of them."
    )
    names = [name for group in GROUPS for name in group]
    parser.add_argument("stage", nargs="*", choices=[*names, []], help=", ".join(names))
    wanted = parser.parse_args().stage or names
    was_up = subprocess.run(["bin/lab", "status"], cwd=ROOT, capture_output=True, check=False).returncode == 0
    run = Run()
    began = time.monotonic()
    try:
        for group in GROUPS:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda stage: stage(run), [group[name] for name in group if name in wanted]))
    finally:
        if not was_up and {"roles", "stack"} & set(wanted):
            run.check("bin/lab down", ["bin/lab", "down"])
    print(
        f"\nAll stages took {(time.monotonic() - began) / 60:.1f} minutes; the logs are in {LOGS.relative_to(ROOT)}/."
    )
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
