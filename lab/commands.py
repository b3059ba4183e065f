"""Run other programs: with a timeout, output to a file, failures as LabError."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.console import LabError


def run(
    argv: Sequence[str | Path],
    log: Path | None = None,
    timeout: float = 600,
    input_text: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return its standard output (text, empty when it goes to `log`).

    Raises LabError with the command and its last output lines when it fails or takes longer than `timeout` seconds.
    """
    command = [str(part) for part in argv]
    environment = {**os.environ, **env} if env else None
    # ssh makes its standard input non-blocking, and does not restore it when it is killed, so it does not share ours.
    stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input_text is None else {"input": input_text}
    try:
        if log:
            with log.open("a") as output:
                done = subprocess.run(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **stdin,
                    text=True,
                    timeout=timeout,
                    env=environment,
                    check=False,
                )
            tail = ""
        else:
            done = subprocess.run(
                command,
                capture_output=True,
                **stdin,
                text=True,
                timeout=timeout,
                env=environment,
                check=False,
            )
            tail = (done.stderr or done.stdout).strip()[-500:]
    except subprocess.TimeoutExpired:
        raise LabError(f"'{' '.join(command)}' timed out after {timeout:.0f} seconds.") from None
    except FileNotFoundError:
        raise LabError(
            f"The program '{command[0]}' is not installed. Run bin/lab up, which installs the lab's packages."
        ) from None
    if done.returncode:
        raise LabError(f"'{' '.join(command)}' failed with exit code {done.returncode}. {tail}".strip())
    return done.stdout or ""
