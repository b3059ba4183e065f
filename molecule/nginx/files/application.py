"""Responds to every request on a Unix socket with the headers from the proxy."""

import json
import socketserver
from http.server import BaseHTTPRequestHandler
from pathlib import Path

SOCKET = Path("/run/application.sock")


class Handler(BaseHTTPRequestHandler):
    """Responds with the request's headers and path as JSON."""

    def address_string(self) -> str:
        return "proxy"

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Large", self.path.partition("header=")[2])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


SOCKET.unlink(missing_ok=True)
socketserver.ThreadingUnixStreamServer(str(SOCKET), Handler).serve_forever()
