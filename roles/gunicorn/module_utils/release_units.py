"""A release's systemd units: the web service and its socket, and the other processes of the app."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

UNITS = Path("/etc/systemd/system")
_LAST_LINES = 20
_COMMAND_TIMEOUT = 180
_HEALTHY = 200
# What gunicorn says when one of its processes ended without being asked to.
_WORKER_DIED = re.compile(
    r"Worker \(pid:\d+\) (?:was sent SIG(?!TERM|QUIT|INT)\w+|exited with code|was killed)|WORKER TIMEOUT"
)

# What stands between the app's own words: gunicorn's good news, how its own code got there, and how it then ends itself.
_NEWS = re.compile(r"\[\d{4}-\d\d-\d\d [^]]*\] \[\d+\] \[INFO\]")
_OWN_FRAME = re.compile(
    r'  File "(?:<frozen importlib|[^"]*/site-packages/gunicorn/|[^"]*/bin/gunicorn"|[^"]*/importlib/)'
)
_OWN_END = re.compile(r"gunicorn\.errors\.HaltServer|During handling of the above exception")
_TRACEBACK = "Traceback (most recent call last):"
# All that is left of the way in which gunicorn ends itself.
_OWN_WAY = [_TRACEBACK, "StopIteration"]
# Lines that differ in these alone say the same: numbers of processes, times, ids of requests.
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")


class ReleaseError(Exception):
    """A release that can't serve; the text says what was expected and what was found."""


def systemctl(*arguments: str) -> None:
    """Run systemctl; ReleaseError with its words when it fails."""
    done = subprocess.run(
        ["systemctl", "--quiet", *arguments], capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=False
    )
    if done.returncode:
        raise ReleaseError(f"systemctl {' '.join(arguments)} failed: {done.stderr.strip()}")


def listed(*patterns: str) -> list[str]:
    """The loaded units that match."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", *patterns]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=True).stdout
    return [line.split()[0] for line in lines.splitlines()]


def essence(lines: Iterable[str]) -> list[str]:
    """What an app said, each thing once, in the order in which it was said first; without gunicorn's part in it."""
    told: dict[str, list[str]] = {}
    for block in _blocks(lines):
        if not (_NEWS.match(block[0]) or _OWN_END.match(block[-1]) or block == _OWN_WAY):
            told.setdefault(_VARYING.sub("#", "\n".join(block)), block)
    return [line for block in told.values() for line in block]


def _blocks(lines: Iterable[str]) -> list[list[str]]:
    """The lines, those of a traceback together and without gunicorn's frames."""
    blocks: list[list[str]] = []
    within = own = False
    for line in lines:
        if line.startswith("  File ") or not line.startswith("    "):
            own = bool(_OWN_FRAME.match(line))
        if not within or line == _TRACEBACK:
            blocks.append([])
        if not own:
            blocks[-1].append(line)
        # Its first line that is not indented ends a traceback.
        within = line == _TRACEBACK or (within and line.startswith("  "))
    return [block for block in blocks if block]


@dataclass(frozen=True)
class State:
    """What systemd says of a service; `process` is 0 when none runs."""

    active: str
    result: str
    process: int
    restarts: int

    @property
    def ended(self) -> str:
        """How it ended, in brackets; empty while systemd does not say."""
        return f" ({self.result})" if self.result != "success" else ""


class Release:
    """One release of the app `name` on this host."""

    def __init__(self, name: str, release: str) -> None:
        self.name, self.id = name, release
        self.service, self.socket = f"{name}@{release}.service", f"{name}@{release}.socket"
        self.began = time.time()

    def state(self, unit: str | None = None) -> State:
        """The state of the web service, or of another of the release's units."""
        wanted = "--property=ActiveState,Result,MainPID,NRestarts"
        command = ["systemctl", "show", wanted, unit or self.service]
        text = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=True).stdout
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        # A socket has neither a process nor restarts.
        return State(
            found["ActiveState"], found["Result"], int(found.get("MainPID", 0)), int(found.get("NRestarts", 0))
        )

    def processes(self, commands: Iterable[str]) -> list[str]:
        """The units of the app's other processes that belong on this host."""
        return [
            f"{self.name}-{process}@{self.id}.service"
            for process in commands
            if (UNITS / f"{self.name}-{process}@.service").exists()
        ]

    def start(self) -> None:
        """Start the web service on its own socket, also at the next boot."""
        systemctl("daemon-reload")
        if self.state().active == "failed":
            systemctl("reset-failed", self.service)
        systemctl("enable", self.socket, self.service)
        systemctl("start", self.socket)
        # Not waited for: whether it came up is what the health check asks.
        systemctl("start", "--no-block", self.service)

    def waiting(self, path: str) -> int:
        """How many connections to the socket at `path` nobody has accepted yet."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        # Num, RefCount, Protocol, Flags, Type, St, Inode, Path; one that is not accepted has no inode yet.
        return sum(1 for line in lines if line.split()[6:] == ["0", path])

    def drain(self, path: str, seconds: float) -> None:
        """Wait until the release has accepted what came before the switch; what it has accepted, it answers when it is stopped."""
        deadline = time.monotonic() + seconds
        while self.waiting(path) and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self, at_once: bool = False) -> None:
        """Stop the web service after what its socket accepted is served, or at once, and forget it at boot."""
        # Both in one step: a socket that stays for a moment starts the service again for whoever waits there.
        both = (self.service, self.socket)
        if at_once and self.state().process:
            systemctl("kill", "--signal=SIGKILL", self.service)
        systemctl("disable", "--now", *both)
        for unit in both:
            if self.state(unit).active == "failed":
                systemctl("reset-failed", unit)

    def words(self, unit: str | None = None) -> list[str]:
        """The last lines that the release wrote since it was started here."""
        command = [
            "journalctl",
            "--no-pager",
            "--output=cat",
            f"--since=@{int(self.began)}",
            # Not what systemd says of it.
            f"_SYSTEMD_UNIT={unit or self.service}",
        ]
        text = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=True).stdout
        return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")]

    def last_words(self, unit: str | None = None) -> str:
        """The end of what it said, as it stands in a message."""
        found = essence(self.words(unit))[-_LAST_LINES:]
        return "\n".join(f"  {line}" for line in found) or "  (it wrote nothing)"

    def dead_workers(self) -> list[str]:
        """The lines in which gunicorn says that a worker died."""
        return [line for line in self.words() if _WORKER_DIED.search(line)]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Health:
    """What a healthy release answers: 200 at `path`, with a body that matches the pattern `body` where there is one."""

    path: str
    host: str
    body: str

    @property
    def expected(self) -> str:
        """The rule in words."""
        return f"200 from {self.path}" + (f", with a body that matches '{self.body}'" if self.body else "")

    def ask(self, unix_socket: str, timeout: float) -> str | None:
        """Ask as the proxy does; None when the answer is right, else what was found."""
        connection = _UnixConnection(unix_socket, timeout)
        # As through the proxy, so that an app which insists on its name or on HTTPS answers as it will.
        headers = {
            "Host": self.host,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": self.host,
            "X-Forwarded-For": "127.0.0.1",
        }
        try:
            connection.request(
                "GET", self.path, headers={**headers, "User-Agent": "outport-health", "Connection": "close"}
            )
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except TimeoutError:
            return f"no answer within {timeout:.0f} seconds"
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {error or type(error).__name__}"
        finally:
            connection.close()
        if answer.status == _HEALTHY and (not self.body or re.search(self.body, body)):
            return None
        if answer.getheader("Location"):
            return (
                f"{answer.status}, a redirect to {answer.getheader('Location')}. Choose a health path that answers by itself;"
                " an app that redirects to HTTPS or to its name has to trust the proxy's X-Forwarded headers"
            )
        return f"{answer.status} {answer.reason}" + (f" with the body '{body[:200]}'" if body else "")
