"""The commands of a build, and the causes of their failures."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ansible.module_utils.release.disk import disk_full
from ansible.module_utils.release.errors import ReleaseError

_TIMEOUT = 1800

CHANGE_REQUIREMENTS = "Change the app's requirements, regenerate its lock file, and deploy that commit."

# Known errors of uv, pip and poetry: a pattern in the output, the cause, and the fix. The first match is reported.
CAUSES = (
    (
        r"not found in the package registry|no version of .* matching|there (is|are) no versions? of",
        "A requirement, or the required version of it, is not in the package index",
        CHANGE_REQUIREMENTS,
    ),
    (
        r"No solution found",
        "The requirements contradict each other, or the Python of this host",
        f"{CHANGE_REQUIREMENTS} Or choose another Python with python_app_python (the setting app_python).",
    ),
    (
        r"Hash mismatch|do not match|has no hashes|must have a hash",
        "The package index does not match the hashes of the lock file",
        "Regenerate the lock file where the packages can be trusted, and deploy that commit.",
    ),
    (
        r"dns error|error sending request|Connection refused|timed out|Could not connect|Failed to fetch|tunnel",
        "This host can't reach the package index",
        "Check the host's outbound network access (security group, proxy, DNS), and run this again.",
    ),
    (
        r"pyproject.toml changed significantly|poetry.lock .*not (up to date|compatible)|run `?poetry lock",
        "poetry.lock does not match pyproject.toml",
        "Run `poetry lock`, commit the lock file, and deploy that commit.",
    ),
    (
        r"Failed to build|Failed to download and build|build backend",
        "A package could not be built from source",
        "Add the Debian packages that it needs to python_app_packages (the setting app_packages), or require a version that has a wheel.",
    ),
)


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Standard output, then standard error."""
        return f"{self.stdout}\n{self.stderr}"


def run(
    argv: list[str],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Result:
    """Run a command in its own session, which is killed when the command ends.

    `stdin` and `stdout` are open files; output to `stdout` is not in the result. Raises ReleaseError after half an hour.
    """
    # Output to files: a process that the command leaves behind can't block a pipe.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or out,
            stderr=err,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            code = process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise ReleaseError(
                f"'{' '.join(argv)[-200:]}' did not end within {_TIMEOUT} s.",
                "Find out what it waits for (a prompt, an address that does not respond), and run this again.",
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Result(code, *texts)


def need(result: Result, cause: str, fix: str, causes: tuple[tuple[str, str, str], ...] = CAUSES) -> Result:
    """Return `result` when its command succeeded; else raise ReleaseError, with a cause of `causes` where its output shows one."""
    if result.code == 0:
        return result
    if re.search(r"No space left on device|os error 28\b", result.output):
        raise disk_full(result.output)
    for pattern, known, remedy in causes:
        if re.search(pattern, result.output, re.IGNORECASE):
            raise ReleaseError(f"{known}: {cause[0].lower()}{cause[1:]}", remedy, result.output)
    raise ReleaseError(cause, fix, result.output)
