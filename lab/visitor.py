"""An HTTP client of the site: by its name, over TLS verified as in a browser, at the address from the lab's DNS."""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

# Longer than the proxy's timeout for the app, seconds.
_TIMEOUT = 40


@dataclass(frozen=True)
class Response:
    """An HTTP response; header names are in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Visitor:
    """Client of one site; `ca` is the PEM file of the authority to trust. Raises OSError when the site can't be reached over verified TLS."""

    def __init__(self, domain: str, address: str, ca: Path) -> None:
        self.domain, self.address = domain, address
        self._trust = ssl.create_default_context(cafile=str(ca))

    def _connect(self) -> ssl.SSLSocket:
        return self._trust.wrap_socket(
            socket.create_connection((self.address, 443), _TIMEOUT), server_hostname=self.domain
        )

    def certificate(self) -> dict[str, Any]:
        """Return the site's certificate, as ssl's getpeercert returns it."""
        with self._connect() as connection:
            return dict(connection.getpeercert() or {})

    def get(self, path: str) -> Response:
        """GET a path."""
        return self.request("GET", path)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send one request and return the response."""
        client = HTTPSConnection(self.domain)
        client.sock = self._connect()
        try:
            client.request(method, path, body, dict(headers or {}))
            response = client.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, response.reason, names, response.read())
        finally:
            client.close()
