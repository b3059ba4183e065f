"""The health check of a release, on its own socket."""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass

_HEALTHY = 200


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
