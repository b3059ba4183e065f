"""The API conforms to its OpenAPI document for all requests."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The URL of the running app."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_schemathesis_finds_nothing(address: str, tmp_path: Path) -> None:
    """Valid and invalid requests, generated from the document, get documented responses and never a 5xx."""
    schemathesis = Path(sys.executable).parent / "schemathesis"
    document = f"{address}/api/v1/openapi.json"
    options = ["--max-examples=60", "--workers=1", "--no-color", "--continue-on-failure"]
    played = subprocess.run(
        [schemathesis, "run", document, *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert played.returncode == 0, played.stdout[-8000:]
    assert "Tested: 9" in played.stdout
    print(played.stdout[played.stdout.index("= SUMMARY ") :])
