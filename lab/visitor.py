"""A visitor of the site: asks by its name, over TLS verified as a browser does, at the address that the lab's DNS gives."""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

# Longer than the proxy waits for the app, seconds.
_TIMEOUT = 40


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: `headers` with lower-case names."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Visitor:
    """Visits one site; `ca` is the PEM file of the authority to trust. Each call raises OSError when the site can't be reached or trusted."""

    def __init__(self, domain: str, address: str, ca: Path) -> None:
        self.domain, self.address = domain, address
        self._trust = ssl.create_default_context(cafile=str(ca))

    def _connect(self) -> ssl.SSLSocket:
        return self._trust.wrap_socket(
            socket.create_connection((self.address, 443), _TIMEOUT), server_hostname=self.domain
        )

    def certificate(self) -> dict[str, Any]:
        """The certificate that the site shows, as ssl's getpeercert gives it."""
        with self._connect() as connection:
            return dict(connection.getpeercert() or {})

    def get(self, path: str) -> Answer:
        """GET a path."""
        return self.ask("GET", path)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and read its answer."""
        client = HTTPSConnection(self.domain)
        client.sock = self._connect()
        try:
            client.request(method, path, body, dict(headers or {}))
            answer = client.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, answer.reason, names, answer.read())
        finally:
            client.close()
