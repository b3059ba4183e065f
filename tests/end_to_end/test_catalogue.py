"""Apps in the shapes of other people's: from their repository to HTTPS by bin/init, used, deployed again, rolled back."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support import catalogue
from urllib3.filepost import encode_multipart_formdata

from lab import git_server, operations
from lab.layout import REPOSITORY

pytestmark = pytest.mark.soak

# The file with the version that a test changes, whether there are accounts and files, and what more the site's first page shows.
SHAPES: dict[str, tuple[str, bool, str, dict[str, Any]]] = {
    "blog": ("app/main/routes.py", True, "", {"words": [2]}),
    "chat": ("main.py", False, "/files/", {}),
    "django": ("board/views.py", True, "/media/", {}),
    "forum": ("forum/__init__.py", True, "/files/", {}),
    "gallery": ("gallery.py", False, "", {"picture": len(catalogue.PICTURE), "theme": 24}),
    "monorepo": ("services/web/web/__init__.py", False, "", {}),
    "pets": ("pets.py", False, "", {}),
    "plots": ("app.py", False, "", {}),
    "tutorial": ("flaskr/board.py", True, "/files/", {}),
}
STATIC = {
    "blog": "/static/style.css",
    "django": "/static/board/style.css",
    "forum": "/static/style.css",
    "gallery": "/theme/style.css",
    "pets": "/pages/style.css",
    "plots": "/plots/assets/style.css",
    "tutorial": "/static/style.css",
}
WITHOUT_NOTES = ("gallery", "plots")


class Browser:
    """A browser of the site, with its cookies."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """Send a request and return the response, which must be a success."""
        headers = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        headers |= {"Content-Type": kind} if kind else {}
        response = operations.visitor().request(method, path, body, headers)
        assert response.status == 200, (path, response.status, response.body[:500])
        self.cookies |= {
            name: morsel.value for name, morsel in SimpleCookie(response.headers.get("set-cookie", "")).items()
        }
        return response

    def get(self, path: str) -> Any:
        """GET a path."""
        return self.request("GET", path)

    def send(self, path: str, **fields: str) -> None:
        """Send a form."""
        self.request("POST", path, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def upload(self, path: str, name: str, content: bytes, **fields: str) -> None:
        """Send a form with a file."""
        body, kind = encode_multipart_formdata({**fields, "file": (name, content)})
        self.request("POST", path, body, kind)


def command(*words: str | Path) -> str:
    """Run a command of the project, which must succeed; return its output."""
    done = subprocess.run(
        list(map(str, words)), cwd=REPOSITORY, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=SHAPES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An app's name and repository; its environment and its lab are removed afterwards."""
    command("bin/lab", "down")
    yield request.param, catalogue.create(request.param, tmp_path)
    command("bin/lab", "down")
    shutil.rmtree(REPOSITORY / "inventory" / request.param)


def test_an_app_of_this_shape_runs_by_settings_that_init_found(app: tuple[str, Path]) -> None:
    name, repository = app
    versioned, accounts, files, shown = SHAPES[name]
    began = time.monotonic()
    member = repository / "services/web" if name == "monorepo" else repository
    command("bin/init", member, "--env", name, "--yes")
    if name == "gallery":
        command("bin/lab", "up", "--env", name, "--until", "services")
        command("git", "clone", "--quiet", "--bare", repository.parent / "theme.git", git_server.ROOT / "theme.git")
    command("bin/lab", "up", "--env", name)
    print(f"{name}: {time.monotonic() - began:.0f} s from bin/init to HTTPS")
    browser = Browser()
    if accounts:
        browser.send("/auth/register", name="reader", password="a long password")
        browser.send("/auth/login", name="reader", password="a long password")
    notes = ["first note"] if name not in WITHOUT_NOTES else []
    if notes and files:
        browser.upload("/notes", "cat.txt", b"a cat", text=notes[0])
        assert browser.get(f"{files}cat.txt").body == b"a cat"
    elif notes:
        browser.send("/notes", text=notes[0])
    if name in STATIC:
        assert browser.get(STATIC[name]).body.startswith(b"body {")
    expect(browser, {"version": 1, "notes": notes, **shown})
    page = repository / versioned
    page.write_text(page.read_text().replace('"version": 1', '"version": 2'))
    catalogue.commit(repository, "Version 2")
    command("bin/lab", "play", "playbooks/deploy.yml")
    expect(browser, {"version": 2, "notes": notes, **shown})
    if notes and files:
        assert browser.get(f"{files}cat.txt").body == b"a cat"
    command("bin/lab", "play", "playbooks/rollback.yml")
    expect(browser, {"version": 1, "notes": notes, **shown})


def expect(browser: Browser, wanted: dict[str, Any]) -> None:
    """Assert what the site's first page shows, which may take a worker a few seconds."""
    deadline = time.monotonic() + 20
    while True:
        shown = browser.get("/").json()
        if {name: shown.get(name) for name in wanted} == wanted or time.monotonic() > deadline:
            assert {name: shown.get(name) for name in wanted} == wanted
            return
        time.sleep(0.5)
