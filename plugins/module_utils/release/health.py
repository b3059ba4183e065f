"""The health check of a release, on its own socket."""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass

_HEALTHY = 200
# Responses that depend on the path alone: an app that is still starting does not send them, and waiting does not change them.
_OF_THE_PATH = ("301 ", "302 ", "303 ", "307 ", "308 ", "401 ", "403 ", "404 ", "405 ")


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
    """The health check: a healthy release responds with 200 at `path`, with a body that matches the regular expression `body`, if any."""

    path: str
    host: str
    body: str

    @property
    def expected(self) -> str:
        """The expected response, in words."""
        return f"200 from {self.path}" + (f", with a body that matches '{self.body}'" if self.body else "")

    @staticmethod
    def is_final(found: str) -> bool:
        """Return whether what `probe` found will stay the same, however long the release gets."""
        return found.startswith(_OF_THE_PATH)

    def probe(self, unix_socket: str, timeout: float) -> str | None:
        """Send a request as the proxy does. Returns None when the release is healthy, else what was found."""
        connection = _UnixConnection(unix_socket, timeout)
        # The proxy's headers, for an app that requires its host name or HTTPS.
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
            response = connection.getresponse()
            body = response.read().decode(errors="replace")
        except TimeoutError:
            return f"no response within {timeout:.0f} seconds"
        except (OSError, http.client.HTTPException) as error:
            return f"no response: {error or type(error).__name__}"
        finally:
            connection.close()
        if response.status == _HEALTHY and (not self.body or re.search(self.body, body)):
            return None
        if response.getheader("Location"):
            return (
                f"{response.status} {response.reason}, a redirect to {response.getheader('Location')}. Choose a health path without a redirect;"
                " an app that redirects to HTTPS or to its host name has to trust the proxy's X-Forwarded headers"
            )
        return f"{response.status} {response.reason}" + (f" with the body '{body[:200]}'" if body else "")
