"""Playbook runs in the lab, as an operator starts them."""

import itertools
import os
import re
import subprocess
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from support.processes import kill

from lab import operations
from lab.layout import NUMBER, REPOSITORY

_LOGS = REPOSITORY / ".cache/test/plays"
_numbers = itertools.count(1)
# The runs of the current test, shown when it fails.
DONE: list["PlaybookRun"] = []


@dataclass(frozen=True)
class PlaybookRun:
    """A completed run: its arguments, exit status, whole output, and log file."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    log: Path

    @property
    def messages(self) -> list[str]:
        """The messages of the failed tasks, in order."""
        found = []
        for part in re.split(r"^fatal: .*=> ?$", self.stdout, flags=re.MULTILINE)[1:]:
            result = "\n".join(takewhile(lambda line: not line or line.startswith("    "), part.splitlines()[1:]))
            found.append(str(yaml.safe_load(result)["msg"]))
        return found

    @property
    def text(self) -> str:
        """The whole output, on one line."""
        return " ".join(self.stdout.split())

    @property
    def changed(self) -> list[str]:
        """The tasks that reported a change."""
        return [line for line in self.stdout.splitlines() if line.startswith("changed:")]

    def passed(self) -> "PlaybookRun":
        """Assert that the run succeeded."""
        assert self.code == 0, str(self)
        return self

    def refused(self) -> "PlaybookRun":
        """Assert that the run failed."""
        assert self.code != 0, str(self)
        return self

    def __str__(self) -> str:
        """Return the exit status, the errors, and the end of the output."""
        messages = [f"failed: {message}" for message in self.messages]
        end = self.stdout.splitlines()[-25:]
        return "\n".join(
            [f"{' '.join(self.arguments)}: exit code {self.code}", *messages, *end, f"The complete output: {self.log}"]
        )


def play(*arguments: str, text: str | None = None, timeout: float = 600) -> PlaybookRun:
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
    DONE.append(PlaybookRun(arguments, done.returncode, done.stdout, log))
    return DONE[-1]


def deploy(ref: str, *options: str) -> PlaybookRun:
    """Deploy a ref."""
    return play("playbooks/deploy.yml", "-e", f"ref={ref}", *options)


def rollback(*options: str) -> PlaybookRun:
    """Roll back to the previous release."""
    return play("playbooks/rollback.yml", *options)


def kill_during(at: str, seconds: float, *arguments: str) -> None:
    """Start a run, and kill it with all child processes, some seconds after a line of its output matches the regular expression `at`."""
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
            pytest.fail(f"The run exited before '{at}':\n{seen[-3000:]}")
        time.sleep(seconds)
        kill(process.pid)


def shell(command: str) -> str:
    """Return the output of a shell command, which must succeed, run as after `bin/lab env`."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env=os.environ | operations.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
