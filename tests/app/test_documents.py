"""The commands of docs/example-app.md work."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A developer's environment, without AWS and with a local database."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'listings.sqlite3'}",
        "MEDIA_FOLDER": str(tmp_path / "media"),
        "FLASK_RUN_PORT": str(port),
    }


def test_the_commands_of_the_page_work_in_their_order(environ: dict[str, str]) -> None:
    page = (ROOT / "docs/example-app.md").read_text()
    commands = re.findall("^flask .+$", page, re.MULTILINE)
    assert commands[:3] == ["flask --app run db upgrade", "flask --app run seed", "flask --app run run"]
    for command in commands:
        words = shlex.split(command)
        if words[-1] == "run":
            serve(words, environ)
            continue
        typed = "a long password\n" * 2
        done = subprocess.run(
            words, cwd=ROOT / "app", env=environ, input=typed, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stdout + done.stderr)


def serve(words: list[str], environ: dict[str, str]) -> None:
    """Start the server, request a page, and stop it."""
    server = subprocess.Popen(
        words, cwd=ROOT / "app", env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                asked = HTTPConnection("127.0.0.1", int(environ["FLASK_RUN_PORT"]), timeout=5)
                asked.request("GET", "/api/v1/listings")
                assert asked.getresponse().status == 200
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(10)
