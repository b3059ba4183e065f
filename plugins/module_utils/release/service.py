"""The web service of a release: its units, from the first start to the last answer."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ansible.module_utils.release import journal
from ansible.module_utils.release.layout import App
from ansible.module_utils.release.systemd import State, state_of, systemctl

# What gunicorn writes when one of its processes ended unexpectedly.
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
        """The state of the service."""
        return state_of(self.service)

    def start(self) -> None:
        """Start it on its own socket, also at the next boot."""
        systemctl("daemon-reload")
        if self.state().active == "failed":
            systemctl("reset-failed", self.service)
        systemctl("enable", self.socket, self.service)
        systemctl("start", self.socket)
        # Not waited for: whether it came up is what the health check asks.
        systemctl("start", "--no-block", self.service)

    def drain(self, seconds: float) -> None:
        """Wait until it has accepted the connections that came before the switch; those it has accepted, it answers when it is stopped."""
        deadline = time.monotonic() + seconds
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _waiting(self) -> int:
        """How many connections to its socket are not accepted yet."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        # Num, RefCount, Protocol, Flags, Type, St, Inode, Path; one that is not accepted has no inode yet.
        return sum(1 for line in lines if line.split()[6:] == ["0", self._path])

    def stop(self, at_once: bool = False) -> None:
        """Stop it after what its socket accepted is answered, or at once, and disable it."""
        # Both in one step: a socket that stays for a moment starts the service again for whoever waits there.
        both = (self.service, self.socket)
        if at_once and self.state().process:
            systemctl("kill", "--signal=SIGKILL", self.service)
        systemctl("disable", "--now", *both)
        for unit in both:
            if state_of(unit).active == "failed":
                systemctl("reset-failed", unit)

    def log(self) -> list[str]:
        """The lines that it wrote since this object was made."""
        return journal.lines_of(self.service, self._since)

    def dead_workers(self) -> list[str]:
        """The lines in which gunicorn reports a worker that died."""
        return [line for line in self.log() if _WORKER_DIED.search(line)]
