"""Measures the deploy of the same change in both ways, alternating, under the same load."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from socket import create_connection
from ssl import create_default_context

from lab import operations
from lab.bench.report import Times
from lab.bench.ways import NAME, PORT, REMOVE, Way, install_script, manual, on_host, outport
from lab.console import LabError
from lab.layout import REPOSITORY, SITE_CA
from lab.load import Load, Plan, plan_for_site
from lab.repositories import APP, HEADER, publish_change, remove_branch

_ROUNDS = 3
_RATE, _AT_LEAST = 100, 2500
_TIMEOUT = 600


@contextmanager
def _prepared() -> Iterator[None]:
    """Create the branch and the manual installation; afterwards both are removed, and the site runs its configured version."""
    settings = operations.settings()
    mark_before = _live_mark()
    try:
        _log("Installing the app a second time, manually, on the same host")
        publish_change(NAME, "before")
        on_host(install_script(str(settings["app_name"]), str(settings["site_domain"])), 240)
        _wait_for(PORT, "before", time.monotonic() + 30)
        yield
    finally:
        _log("Removing the manual installation, and restoring the live release")
        try:
            on_host(REMOVE, 150)
        finally:
            remove_branch(APP, NAME)
            if _live_mark() != mark_before:
                # Quick: the release of the settings is built already.
                _command([REPOSITORY / "bin/lab", "play", "playbooks/deploy.yml"])


def _live_mark() -> str | None:
    """Return the mark in the site's responses, if any."""
    try:
        return _mark(443)
    except (OSError, HTTPException) as error:
        raise LabError(f"The site does not respond: {error}. Run: bin/lab up") from None


# Measuring


def _mark(port: int) -> str | None:
    """Return the value of `HEADER` in a response of the app at a port of the site."""
    visitor = operations.visitor()
    client = HTTPSConnection(visitor.domain, timeout=10)
    plain = create_connection((operations.find_host("web-1").public, port), 10)
    client.sock = create_default_context(cafile=str(SITE_CA)).wrap_socket(plain, server_hostname=visitor.domain)
    try:
        client.request("GET", str(operations.settings()["app_health_path"]))
        return client.getresponse().getheader(HEADER)
    finally:
        client.close()


def _wait_for(port: int, mark: str, deadline: float, needed: Callable[[], bool] = lambda: True) -> None:
    """Wait until the site at a port responds with a mark, or until cancelled. Raises LabError after the deadline."""
    found: object = None
    while needed():
        try:
            found = _mark(port)
        except (OSError, HTTPException) as error:
            # The app may not respond for a moment; the load counts how often.
            found = error
        if found == mark:
            return
        if time.monotonic() > deadline:
            raise LabError(f"The site at port {port} does not respond with the change '{mark}'; found: {found}.")
        time.sleep(0.1)


class _Monitor:
    """Records the time of the new version's first response, in parallel with the deploy command."""

    def __init__(self, port: int, mark: str) -> None:
        self.began = time.monotonic()
        self.seconds: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, mark), daemon=True)
        self._thread.start()

    def _run(self, port: int, mark: str) -> None:
        _wait_for(port, mark, self.began + _TIMEOUT, lambda: not self._stopped.is_set())
        if not self._stopped.is_set():
            self.seconds = time.monotonic() - self.began

    def result(self) -> float:
        """Return the seconds until the new version's first response; wait for it if necessary."""
        self._thread.join(timeout=15)
        self._stopped.set()
        if self.seconds is None:
            raise LabError("The command succeeded, but the new version did not respond within 15 seconds.")
        return self.seconds


def _command(argv: Sequence[str | Path]) -> None:
    """Run a command. Raises LabError with its last log lines when it fails or takes longer than 4 minutes."""
    command = [str(part) for part in argv]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        raise LabError(f"'{' '.join(command)}' timed out after 240 seconds.") from None
    finally:
        if process.returncode is None:
            # Including child processes: a playbook must not continue in the background.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    if process.returncode:
        raise LabError(f"'{' '.join(command)}' failed with exit code {process.returncode}. {output.strip()[-800:]}")


def _measure(way: Way, mark: str, plan: Plan, times: Times) -> None:
    """Deploy a change in one way under load, and record the times."""
    with Load(replace(plan, port=way.port)) as load:
        monitor = _Monitor(way.port, mark)
        _command(way.command)
        times.total.append(time.monotonic() - monitor.began)
        times.until_live.append(monitor.result())
    times.loads.append(load.result)
    _log(f"  {way.name}: {times.total[-1]:.1f} s, {load.result.failed} of {load.result.total} requests failed")


def deploy() -> dict[str, dict[str, object]]:
    """Deploy a one-line change in both ways, alternating; return the numbers of each way by its name."""
    ways = [outport(), manual()]
    times = {way.name: Times() for way in ways}
    deadline = time.monotonic() + _TIMEOUT
    plan = plan_for_site(_RATE, _AT_LEAST, longest=300)
    plan = replace(plan, addresses=(operations.find_host("web-1").public,))
    with _prepared():
        for number in range(1, _ROUNDS + 1):
            _log(f"Round {number} of {_ROUNDS}")
            mark = f"round-{number}-{os.getpid()}"
            publish_change(NAME, mark)
            for way in ways:
                if time.monotonic() > deadline - 120:
                    raise LabError(f"{_ROUNDS} rounds timed out after {_TIMEOUT} seconds.")
                _measure(way, mark, plan, times[way.name])
    return {name: found.summary() for name, found in times.items()}


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
