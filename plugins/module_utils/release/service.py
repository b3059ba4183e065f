"""The web service of a release: start, drain and stop of its units."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ansible.module_utils.release import journal
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.systemd import State, state_of, systemctl

# gunicorn's log lines when a worker exited unexpectedly.
_WORKER_DIED = re.compile(
    r"Worker \(pid:\d+\) (?:was sent SIG(?!TERM|QUIT|INT)\w+|exited with code|was killed)|WORKER TIMEOUT"
)


class WebService:
    """The web service of one release on this host."""

    def __init__(self, app: App, release_id: str) -> None:
        self.service, self.socket = app.service(release_id), app.socket_unit(release_id)
        self._path = str(app.release(release_id).socket)
        self._since = time.time()

    def state(self) -> State:
        """Return the state of the service."""
        return state_of(self.service)

    def start(self) -> None:
        """Start it on its own socket and enable it at boot."""
        systemctl("daemon-reload")
        if self.draining():
            # It is wanted now, as for a rollback: what is left of its former requests must not delay that.
            self._kill()
        if self.state().active == "failed":
            systemctl("reset-failed", self.service)
        systemctl("enable", self.socket, self.service)
        systemctl("start", self.socket)
        # Without waiting: the health check determines whether it started.
        systemctl("start", "--no-block", self.service)

    def drain(self, seconds: float) -> None:
        """Wait up to `seconds` until it has accepted the connections made before the switch; it completes them when it is stopped."""
        deadline = time.monotonic() + seconds
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _waiting(self) -> int:
        """Return the number of connections to its socket that are not accepted yet."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        # Num, RefCount, Protocol, Flags, Type, St, Inode, Path; a connection that is not accepted has no inode yet.
        return sum(1 for line in lines if line.split()[6:] == ["0", self._path])

    def draining(self) -> bool:
        """Return whether it is being stopped, and completes its requests."""
        return self.state().active == "deactivating"

    def stop(self, at_once: bool = False, wait: bool = True) -> None:
        """Stop it after it has completed its requests, or at once, and disable it; without waiting, systemd completes that."""
        # Both in one step: a socket that remains for a moment would start the service again for a waiting connection.
        both = (self.service, self.socket)
        if at_once:
            self._kill()
        systemctl("disable", "--now", *([] if wait else ["--no-block"]), *both)
        for unit in both if wait else ():
            if state_of(unit).active == "failed":
                systemctl("reset-failed", unit)

    def _kill(self) -> None:
        if self.state().process:
            systemctl("kill", "--signal=SIGKILL", self.service)

    def log(self) -> list[str]:
        """Return the lines that it logged since this object was created."""
        return journal.lines_of(self.service, self._since)

    def dead_workers(self) -> list[str]:
        """Return the lines in which gunicorn reports a dead worker."""
        return [line for line in self.log() if _WORKER_DIED.search(line)]
