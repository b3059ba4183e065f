"""Runs of playbooks in the lab, as a person starts them."""

import itertools
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from lab.layout import NUMBER, REPOSITORY

_LOGS = REPOSITORY / ".cache/test/plays"
_numbers = itertools.count(1)
# Of the test that runs: what it shows when it fails.
DONE: list["Played"] = []


@dataclass(frozen=True)
class Played:
    """A run that has ended: its words, exit code, whole output, and the file that keeps it."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    log: Path

    @property
    def messages(self) -> list[str]:
        """What the tasks that failed said, in order."""
        found = []
        for part in re.split(r"^fatal: .*=> ?$", self.stdout, flags=re.MULTILINE)[1:]:
            result = "\n".join(takewhile(lambda line: not line or line.startswith("    "), part.splitlines()[1:]))
            found.append(str(yaml.safe_load(result)["msg"]))
        return found

    @property
    def told(self) -> str:
        """All of the output, on one line."""
        return " ".join(self.stdout.split())

    @property
    def changed(self) -> list[str]:
        """The tasks that changed something."""
        return [line for line in self.stdout.splitlines() if line.startswith("changed:")]

    def passed(self) -> "Played":
        """Have the test fail unless the run succeeded."""
        assert self.code == 0, str(self)
        return self

    def refused(self) -> "Played":
        """Have the test fail unless the run failed."""
        assert self.code != 0, str(self)
        return self

    def __str__(self) -> str:
        """How it ended, its errors, and the end of its output."""
        said = [f"failed: {message}" for message in self.messages]
        end = self.stdout.splitlines()[-25:]
        return "\n".join([f"{' '.join(self.arguments)}: exit code {self.code}", *said, *end, f"All of it: {self.log}"])


def play(*arguments: str, text: str | None = None, timeout: float = 600) -> Played:
    """Run ansible-playbook in the lab, with `text` as its input."""
    source: dict[str, object] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    done = subprocess.run(
        [str(REPOSITORY / "bin/lab"), "play", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
        **source,
    )
    _LOGS.mkdir(parents=True, exist_ok=True)
    log = _LOGS / f"lab-{NUMBER}-{next(_numbers):03}-{Path(arguments[0]).stem}.log"
    log.write_text(done.stdout)
    DONE.append(Played(arguments, done.returncode, done.stdout, log))
    return DONE[-1]


def deploy(ref: str, *options: str) -> Played:
    """Deploy a ref."""
    return play("playbooks/deploy.yml", "-e", f"ref={ref}", *options)


def rollback(*options: str) -> Played:
    """Go back to the previous release."""
    return play("playbooks/rollback.yml", *options)


def cut_off(at: str, seconds: float, *arguments: str) -> None:
    """Begin a run, and kill all of it some seconds after a line of its output in which the regular expression `at` is found."""
    with subprocess.Popen(
        [str(REPOSITORY / "bin/lab"), "play", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        seen = ""
        for line in process.stdout:
            seen += line
            if re.search(at, line):
                break
        else:
            pytest.fail(f"The run ended before '{at}':\n{seen[-3000:]}")
        time.sleep(seconds)
        # Ansible's workers are in sessions of their own.
        for number in [process.pid, *_descendants(process.pid)]:
            os.kill(number, signal.SIGKILL)


def _descendants(process: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    lines = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()
    parents = {int(number): int(parent) for number, parent in (line.split() for line in lines)}
    found = [process]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found[1:]
