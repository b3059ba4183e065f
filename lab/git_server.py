"""The git server: the repositories in STATE/git over HTTPS, read-only, with Git LFS, and with a token where one is set."""

import base64
import gzip
import json
import os
import re
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab import certificates
from lab.layout import CERTIFICATES, GATEWAY, GIT_PORT, STATE

ROOT = STATE / "git"
_LFS_TYPE = "application/vnd.git-lfs+json"
_TIMEOUT = 120
_PATH = re.compile(r"/(?P<name>[\w.-]+?)(?:\.git)?/(?P<rest>[\w./-]+)(?:\?(?P<query>.*))?")


def serve() -> None:
    """Serve the repositories in a thread of their own."""
    ROOT.mkdir(exist_ok=True)
    certificate, key = CERTIFICATES / "git.pem", CERTIFICATES / "git.key"
    certificates.issue([str(GATEWAY), "git.lab.test"], certificate, key)
    server = ThreadingHTTPServer((str(GATEWAY), GIT_PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # The handshake is done by the connection's own thread: a client that sends nothing must not stop others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, name="git", daemon=True).start()


def token_file(name: str) -> Path:
    """Return the file with the USER:TOKEN that a repository requires; without the file everybody reads it."""
    return ROOT / f"{name}.token"


def lfs_object(repository: Path, oid: str) -> Path:
    """Return the file of an object of Git LFS in a bare repository."""
    return repository / "lfs/objects" / oid[:2] / oid[2:4] / oid


class Handler(BaseHTTPRequestHandler):
    """Answers git's smart protocol by git's own program, and the batch requests and downloads of Git LFS."""

    protocol_version = "HTTP/1.1"
    scheme = "https"
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a POST request."""
        self._answer(self._body())

    def _answer(self, body: bytes) -> None:
        found = _PATH.fullmatch(self.path)
        if not found or ".." in self.path:
            self._send(404)
            return
        repository = ROOT / f"{found['name']}.git"
        token = token_file(found["name"])
        if token.exists() and self.headers.get("Authorization") != _basic(token.read_text()):
            self._send(401, {"WWW-Authenticate": 'Basic realm="git"'})
        elif not repository.is_dir():
            self._send(404)
        elif found["rest"] == "info/lfs/objects/batch":
            self._send_batch(repository, json.loads(body))
        elif found["rest"].startswith("lfs/"):
            path = lfs_object(repository, found["rest"].removeprefix("lfs/"))
            self._send(
                200, {"Content-Type": "application/octet-stream"}, path.read_bytes()
            ) if path.is_file() else self._send(404)
        else:
            self._run_git(repository, found["rest"], found["query"] or "", body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        else:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send_batch(self, repository: Path, request: dict[str, Any]) -> None:
        objects = []
        for wanted in request["objects"]:
            found: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
            if lfs_object(repository, wanted["oid"]).is_file():
                href = f"{self.scheme}://{self.headers['Host']}/{repository.name}/lfs/{wanted['oid']}"
                found["actions"] = {"download": {"href": href}}
            else:
                found["error"] = {"code": 404, "message": "The object does not exist."}
            objects.append(found)
        self._send(200, {"Content-Type": _LFS_TYPE}, json.dumps({"transfer": "basic", "objects": objects}).encode())

    def _run_git(self, repository: Path, rest: str, query: str, body: bytes) -> None:
        """Answer by `git http-backend`, a CGI program."""
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(ROOT),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": f"/{repository.name}/{rest}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=variables, capture_output=True, timeout=_TIMEOUT, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self._send(int(headers.pop("Status", "200" if head else "500").split()[0]), headers, content)

    def _send(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def _basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.strip().encode()).decode()}"
