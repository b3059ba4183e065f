"""Other kinds of apps, deployed by settings only: the first one to a host that may be bare; the last one stays live."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import Visits
from support.apps import SHELF, Options, settings
from support.hosts import APP, live, on_host, units
from support.plays import play

from lab import operations
from lab.commands import run
from lab.layout import SITE_CA
from lab.repositories import address, publish, remove

# Each responds to the requests of the fixture `site`, which are sent while one app replaces another.
NOTES = {
    "requirements.txt": "flask\n",
    "notes.py": """\
import mmap
import os
import sqlite3

from flask import Flask, request

VERSION = 1
application = Flask(__name__)
os.makedirs(application.instance_path, exist_ok=True)


def connect():
    return sqlite3.connect(os.path.join(application.instance_path, "notes.sqlite"), isolation_level=None)


with connect() as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS note (text TEXT)")


@application.get("/")
@application.get("/api/v1/listings")
def show():
    with connect() as connection:
        notes = [text for (text,) in connection.execute("SELECT text FROM note")]
    database = os.environ.get("DATABASE_CREDENTIALS_FILE")
    return {"version": VERSION, "notes": notes, "database": database, "native": native()}


# Whether code can be generated at run time, and whether the memory of the host is known.
def native():
    try:
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except PermissionError:
        return [False, os.path.exists("/proc/meminfo")]
    return [True, os.path.exists("/proc/meminfo")]


@application.post("/")
def add():
    with connect() as connection:
        connection.execute("INSERT INTO note VALUES (?)", (request.get_data(as_text=True),))
    return {}
""",
}

ECHO = {
    "requirements.txt": "",
    "echo.py": """\
import asyncio


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"] + " VERSION"})
    elif scope["type"] == "http":
        await asyncio.sleep(float(scope["query_string"] or 0))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
""",
}
# What a deploy key of a git server may do: read the one repository that is named for it.
READ_ONE = """#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
  "git-upload-pack '$1'") exec git-shell -c "$SSH_ORIGINAL_COMMAND" ;;
esac
echo "This key is not for $SSH_ORIGINAL_COMMAND." >&2
exit 1
"""


def without_database(directory: Path, name: str, entry: str, **changed: Any) -> Options:
    """Options that deploy an app of a repository of the lab, without a database and with no process besides the web service."""
    common = {"app_repository": address(name), "app_entry": entry, "app_setup_commands": [], "app_health_path": "/"}
    return settings(directory, **common | {"database": "none", "app_timers": {}} | changed)


@pytest.fixture(scope="module", autouse=True)
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    """Options that deploy the first app, which is live before the tests."""
    publish("notes", "main", NOTES)
    options = without_database(
        tmp_path_factory.mktemp("notes"),
        "notes",
        "notes:application",
        app_setup_commands=["touch instance/set-up"],
        app_shared_directories=["instance"],
        app_sandbox_exceptions=["jit", "proc"],
    )
    play("site.yml", *options).passed()
    yield options
    for name in ("notes", "echo"):
        remove(name)


def test_a_failed_start_is_explained_with_the_setting_that_fixes_it(undisturbed: Visits, tmp_path: Path) -> None:
    options = without_database(tmp_path, "notes", "notes:application")
    messages = "\n".join(play("playbooks/deploy.yml", *options).refused().messages)
    assert "Read-only file system" in messages
    assert "Keep what it writes: add the directory to app_shared_directories, such as [instance]." in messages


def test_an_app_with_sqlite_keeps_its_data_across_releases(undisturbed: Visits, notes: Options) -> None:
    """No lock, no hashes, no gunicorn, no health path, no database: as in Flask's tutorial."""
    visitor = operations.visitor()
    assert visitor.get("/").json() == {"version": 1, "notes": [], "database": None, "native": [True, True]}
    assert visitor.request("POST", "/", b"remember the milk").status == 200
    publish("notes", "main", NOTES | {"notes.py": NOTES["notes.py"].replace("VERSION = 1", "VERSION = 2")}, onto="main")
    play("playbooks/deploy.yml", *notes, "-e", '{"app_sandbox_exceptions": []}').passed()
    expected = {"version": 2, "notes": ["remember the milk"], "database": None, "native": [False, False]}
    assert visitor.get("/").json() == expected
    assert units() == {f"listings@{live()}.service"}
    on_host("sudo /opt/outport/run /srv/listings sh -c 'echo > instance/by-hand && test ! -w requirements.txt'")
    for made in ("set-up", "by-hand", "notes.sqlite"):
        assert on_host(f"sudo stat --format '%U %a' /srv/listings/shared/instance/{made}") == "listings 640"


def test_an_asgi_app_answers_on_a_websocket_until_its_release_is_stopped(undisturbed: Visits, tmp_path: Path) -> None:
    versions = [ECHO | {"echo.py": ECHO["echo.py"].replace("VERSION", text)} for text in ("one", "two")]
    publish("echo", "main", versions[0])
    options = without_database(tmp_path, "echo", "echo:app", app_timeout=5, gunicorn_worker_class="asgi")
    play("playbooks/deploy.yml", *options).passed()
    asyncio.run(assert_websocket_is_closed_by_a_deploy(options, versions[1]))


async def assert_websocket_is_closed_by_a_deploy(options: Options, version: dict[str, str]) -> None:
    """Send messages before and after a deploy of another version."""
    site = operations.visitor()
    trust = ssl.create_default_context(cafile=str(SITE_CA))
    async with aiohttp.ClientSession(headers={"Host": site.domain}) as session:
        connect = partial(session.ws_connect, f"https://{site.address}/", ssl=trust, server_hostname=site.domain)
        async with connect() as socket:
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=10) == "hello one"
            publish("echo", "main", version, onto="main")
            (await asyncio.to_thread(play, "playbooks/deploy.yml", *options)).passed()
            # So that a client knows that it has to connect again.
            message = await socket.receive(timeout=10)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with connect() as socket:
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=10) == "hello two"


@pytest.mark.soak
def test_a_long_request_is_completed_by_the_former_release_after_the_deploy(tmp_path: Path) -> None:
    publish("echo", "main", ECHO)
    options = without_database(tmp_path, "echo", "echo:app", app_timeout=360, gunicorn_worker_class="asgi")
    play("site.yml", *options).passed()
    asyncio.run(assert_request_outlives_a_deploy(options, seconds=300))
    asyncio.run(assert_rollback_ends_a_request(options, seconds=300))


@pytest.mark.soak
def test_each_repository_is_read_by_ssh_with_its_own_key(deploy_keys: dict[str, str], tmp_path: Path) -> None:
    app = next(iter(deploy_keys))
    options = {"app_repository": app, "app_shared_directories": ["instance"], "app_repository_keys": deploy_keys}
    swapped = dict(zip(deploy_keys, reversed(deploy_keys.values()), strict=True))
    wrong = without_database(tmp_path, "notes", "notes:application", **options | {"app_repository_keys": swapped})
    messages = "\n".join(play("playbooks/deploy.yml", *wrong).refused().messages)
    assert "This key is not for git-upload-pack 'notes.git'." in messages
    assert "app_repository_keys where each repository has its own key" in messages
    right = without_database(tmp_path, "notes", "notes:application", **options)
    play("playbooks/deploy.yml", *right).passed()
    assert operations.visitor().get("/").json()["version"] == 1
    assert "shelf.py" in on_host(f"ls {APP}/live/venv/lib/python3.*/site-packages")


@pytest.fixture
def deploy_keys(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Files of private keys by the SSH address of their repository: an app, and a requirement of it, on the host's own SSH server."""
    publish("shelf", "main", SHELF)
    requirements = "flask\nshelf @ git+ssh://git@localhost/home/git/shelf.git\n"
    publish("notes", "main", NOTES | {"requirements.txt": requirements})
    paths = {"git@localhost:notes.git": "notes.git", "ssh://git@localhost/home/git/shelf.git": "/home/git/shelf.git"}
    keys = {url: tmp_path / Path(path).stem for url, path in paths.items()}
    on_host("sudo useradd --create-home git && sudo install -d -o git -m 700 ~git/.ssh")
    on_host("sudo tee /home/git/read-one >/dev/null && sudo chmod 755 /home/git/read-one", text=READ_ONE)
    for url, key in keys.items():
        on_host(f"cd / && sudo -u git git clone --quiet --bare {address(key.name)} /home/git/{key.name}.git")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
        line = f'restrict,command="/home/git/read-one {paths[url]}" {key.with_suffix(".pub").read_text()}'
        on_host("sudo -u git tee --append /home/git/.ssh/authorized_keys >/dev/null", text=line)
    yield {url: str(key) for url, key in keys.items()}
    # By force, as the server may still close the session of the last command.
    on_host("sudo userdel --force --remove git")
    remove("shelf")


async def assert_request_outlives_a_deploy(options: Options, seconds: int) -> None:
    """Send a request that takes some seconds; a deploy meanwhile ends first, and so does a second run, which changes nothing."""
    former = live()
    async with long_request(seconds) as request:
        publish("echo", "main", ECHO | {"README": "Version 2"}, onto="main")
        (await asyncio.to_thread(play, "playbooks/deploy.yml", *options)).passed()
        assert not request.done()
        assert live() != former
        assert (await asyncio.to_thread(play, "playbooks/deploy.yml", *options)).passed().changed == []
        assert not request.done()
        response = await request
        assert (response.status, await response.text()) == (200, "ok")
    assert units() == {f"listings@{live()}.service"}


async def assert_rollback_ends_a_request(options: Options, seconds: int) -> None:
    """Roll back to a release that still completes a request: it starts again at once, and a request that nginx must not repeat fails."""
    former = live()
    async with long_request(seconds, "POST") as request:
        publish("echo", "main", ECHO | {"README": "Version 3"}, onto="main")
        (await asyncio.to_thread(play, "playbooks/deploy.yml", *options)).passed()
        assert not request.done()
        (await asyncio.to_thread(play, "playbooks/rollback.yml", *options)).passed()
        assert live() == former
        assert (await request).status == 502
    assert units() == {f"listings@{former}.service"}


@asynccontextmanager
async def long_request(seconds: int, method: str = "GET") -> AsyncIterator[asyncio.Future[aiohttp.ClientResponse]]:
    """Send a request to the site that takes some seconds."""
    site = operations.visitor()
    trust = ssl.create_default_context(cafile=str(SITE_CA))
    timeout = aiohttp.ClientTimeout(seconds + 60)
    async with aiohttp.ClientSession(headers={"Host": site.domain}, timeout=timeout) as session:
        sent = session.request(method, f"https://{site.address}/?{seconds}", ssl=trust, server_hostname=site.domain)
        request = asyncio.ensure_future(sent)
        await asyncio.sleep(1)
        yield request
