"""The instance metadata service (IMDSv2): each host, identified by its address, gets its own identity and its role's credentials."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.layout import GATEWAY, METADATA_PORT

Metadata = Mapping[str, str]
"""A host's metadata: path below /latest/ to text."""


class MetadataServer:
    """The service at 169.254.169.254. `lookup` returns the metadata of a source address, or None for an unknown one."""

    def __init__(self, lookup: Callable[[str], Metadata | None]) -> None:
        self._lookup = lookup
        self._tokens: dict[str, tuple[str, float]] = {}

    def start(self) -> None:
        """Serve in its own thread."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                return

            def do_PUT(self) -> None:
                outer.issue_token(self)

            def do_GET(self) -> None:
                outer.respond(self)

        server = ThreadingHTTPServer((str(GATEWAY), METADATA_PORT), Handler)
        threading.Thread(target=server.serve_forever, name="metadata", daemon=True).start()

    def issue_token(self, request: BaseHTTPRequestHandler) -> None:
        """PUT /latest/api/token: a token for this host only, valid for 1 to 21600 seconds."""
        lifetime = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if request.path != "/latest/api/token" or not lifetime.isdigit() or not 1 <= int(lifetime) <= 21600:
            _reply(request, 400, "Bad Request")
            return
        token = secrets.token_urlsafe(32)
        self._tokens[token] = (request.client_address[0], time.monotonic() + int(lifetime))
        _reply(request, 200, token, {"X-aws-ec2-metadata-token-ttl-seconds": lifetime})

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        """GET: the text of a path or the names below it; 401 without this host's own token."""
        source = request.client_address[0]
        owner, expires = self._tokens.get(request.headers.get("X-aws-ec2-metadata-token", ""), ("", 0.0))
        metadata = self._lookup(source)
        if owner != source or time.monotonic() > expires:
            _reply(request, 401, "Unauthorized")
        elif metadata is None:
            _reply(request, 404, "Not Found")
        else:
            text = find(metadata, request.path.removeprefix("/latest/"))
            _reply(request, 200 if text is not None else 404, text if text is not None else "Not Found")


def find(metadata: Metadata, path: str) -> str | None:
    """Return the text at `path`, or the names below it, one per line, or None."""
    if path in metadata:
        return metadata[path]
    prefix = f"{path.rstrip('/')}/" if path else ""
    below = [key.removeprefix(prefix) for key in metadata if key.startswith(prefix)]
    names = {f"{name.split('/')[0]}/" if "/" in name else name for name in below}
    return "\n".join(sorted(names)) or None


def describe_credentials(access_key: str, secret_key: str, token: str, expires: datetime) -> str:
    """Return a role's credentials as the service's JSON."""
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AccessKeyId": access_key,
            "SecretAccessKey": secret_key,
            "Token": token,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def _reply(request: BaseHTTPRequestHandler, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    body = text.encode()
    request.send_response(status)
    request.send_header("Content-Type", "text/plain")
    request.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
