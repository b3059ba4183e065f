"""Other kinds of apps, deployed by settings only: the first one to a host that may be bare; the example app is live at the end."""

import asyncio
import base64
import hashlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from conftest import Visits
from support.hosts import APP, live, on_host, units
from support.plays import play

from lab import aws, git_server, operations
from lab.commands import run
from lab.layout import SITE_CA
from lab.repositories import address, publish, remove
from lab.visitor import Visitor

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

PARCEL = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "parcel"
version = "1.0"
dependencies = ["flask", "outport-private", "shelf @ git+SHELF"]

[[tool.uv.index]]
url = "http://127.0.0.1:8765"

[project.scripts]
parcel-clock = "parcel.work:clock"
""",
    "src/parcel/__init__.py": """\
import hashlib
import os

from flask import Flask

from parcel.database import connect

VERSION = 1


def secret():
    return hashlib.sha256(os.environ["API_TOKEN"].encode()).hexdigest()


def create_app():
    app = Flask(__name__, static_folder=None)

    @app.get("/")
    @app.get("/healthz")
    @app.get("/api/v1/listings")
    def text():
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            (schema,) = cursor.fetchone()
        return {"version": VERSION, "motto": os.environ["MOTTO"], "secret": secret(), "database": schema}

    return app
""",
    "src/parcel/work.py": """\
import sys
import time

from parcel import VERSION, secret
from parcel.database import connect


def work(what):
    while True:
        connect().close()
        print(what, VERSION, secret(), flush=True)
        time.sleep(1)


def clock():
    work("clock")


if __name__ == "__main__":
    if sys.argv[1:] == ["digest"]:
        print("digest", VERSION, secret())
    else:
        work("worker")
""",
    # Knows nothing of KMS; its driver is not among its requirements.
    "src/parcel/database.py": """\
import os
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql


def connect():
    url = urlsplit(os.environ["DATABASE_URL"])
    return pymysql.connect(
        host=url.hostname, port=url.port, user=unquote(url.username), password=unquote(url.password),
        database=url.path[1:], autocommit=True, ssl={"ca": parse_qs(url.query)["ssl_ca"][0]},
    )
""",
    "src/parcel/schema.py": """\
import sys

from parcel.database import connect

REVISION = 1

with connect() as connection, connection.cursor() as cursor:
    if sys.argv[1] == "upgrade":
        cursor.execute("CREATE TABLE IF NOT EXISTS parcel_schema (revision INT PRIMARY KEY)")
        cursor.execute("REPLACE INTO parcel_schema VALUES (%s)", (REVISION,))
    elif sys.argv[1] == "drop":
        cursor.execute("DROP TABLE IF EXISTS parcel_schema")
    else:
        cursor.execute("SELECT MAX(revision) FROM parcel_schema")
        print("The revision is")
        print(cursor.fetchone()[0], "(head)")
""",
    "gunicorn.conf.py": "workers = 1\nbind = '0.0.0.0:8000'\n",
    "src/parcel/static/parcel.3f2a9c1b.css": "body { color: black }\n",
    "src/parcel/static/parcel.css": "body { color: white }\n",
}
# A private requirement, at a git URL.
SHELF = {
    "pyproject.toml": '[project]\nname = "shelf"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["shelf"]\n',
    "shelf.py": 'NAME = "shelf"\n',
}
# A package index on the host that wants a password, with one package that no other index has.
INDEX = """
import base64, http.server, os, zipfile
os.makedirs("/run/index/outport-private", exist_ok=True)
os.chdir("/run/index")
name = "outport_private-1.0"
with zipfile.ZipFile(f"outport-private/{name}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\\nName: outport-private\\nVersion: 1.0\\n")
    wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{name}.dist-info/RECORD", "")
wanted = "Basic " + base64.b64encode(b"reader:" + os.environ["INDEX_PASSWORD"].encode()).decode()
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers["Authorization"] == wanted:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 8765), Handler).serve_forever()
"""
# What a deploy key of a git server may do: read the one repository that is named for it.
READ_ONE = """#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
  "git-upload-pack '$1'") exec git-shell -c "$SSH_ORIGINAL_COMMAND" ;;
esac
echo "This key is not for $SSH_ORIGINAL_COMMAND." >&2
exit 1
"""
MOTTO = 'say "5 $HOME" \\ `date` \' #1 %h'
QUICK = ("-e", "gunicorn_monitor_seconds=3", "-e", "gunicorn_readiness_delay=1")

Options = tuple[str, ...]


def version(number: int, revision: int) -> dict[str, str]:
    """The parcel app in a version for a schema revision."""
    package, schema = "src/parcel/__init__.py", "src/parcel/schema.py"
    return PARCEL | {
        "pyproject.toml": PARCEL["pyproject.toml"].replace("SHELF", address("shelf")),
        package: PARCEL[package].replace("VERSION = 1", f"VERSION = {number}"),
        schema: PARCEL[schema].replace("REVISION = 1", f"REVISION = {revision}"),
    }


def settings(directory: Path, **changed: Any) -> Options:
    """Options that override the lab's settings with a JSON file."""
    file = directory / "settings.json"
    file.write_text(json.dumps({"app_ref": "main", "app_subdir": "", "app_client_dir": "", **changed}))
    return ("-e", f"@{file}", *QUICK)


def without_database(directory: Path, name: str, entry: str, **changed: Any) -> Options:
    """Options that deploy an app of a repository of the lab, without a database and with no process besides the web service."""
    common = {"app_repository": address(name), "app_entry": entry, "app_setup_commands": [], "app_health_path": "/"}
    return settings(directory, **common | {"database": "none", "app_timers": {}} | changed)


@pytest.fixture(scope="module", autouse=True)
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    """Options that deploy the first app, which is live before the tests; the example app is live after them, and no unit of another app."""
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
    play("site.yml", *QUICK).passed()
    assert units() == {f"listings@{live()}.service"}
    assert timers() == {"listings-clean.timer"}
    for name in ("notes", "echo", "parcel"):
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


@pytest.fixture(scope="module")
def token() -> str:
    """A secret of the app."""
    return f"token-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def stored_token() -> str:
    """A secret of the app that is not in the settings."""
    return f"token-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def repository_token() -> Iterator[str]:
    """The token that the git server requires for the package's repository, and for that of a requirement."""
    found = f"token-{uuid.uuid4().hex}"
    files = [git_server.token_file(name) for name in ("parcel", "shelf")]
    for file in files:
        file.write_text(f"deploy:{found}")
    yield found
    for file in files:
        file.unlink()


@pytest.fixture(scope="module")
def index_password() -> Iterator[str]:
    """The password of the package index, which runs on the host meanwhile."""
    password = uuid.uuid4().hex
    on_host("sudo tee /run/index.py >/dev/null", text=INDEX)
    on_host(f"sudo systemd-run --quiet --unit=index --setenv=INDEX_PASSWORD={password} python3 /run/index.py")
    yield password
    on_host("sudo systemctl stop index; sudo rm -r /run/index /run/index.py")


@pytest.fixture(scope="module")
def parcel(
    token: str, index_password: str, repository_token: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Options]:
    """Options that deploy the package with every setting; its tables are removed afterwards."""
    publish("shelf", "main", SHELF)
    publish("parcel", "main", version(1, 1), message="Version 1")
    yield settings(
        tmp_path_factory.mktemp("parcel"),
        app_repository=address("parcel"),
        app_repository_user="deploy",
        app_repository_token=encrypted(repository_token),
        app_entry="parcel:create_app()",
        app_setup_commands=["python -m parcel.schema upgrade"],
        app_schema_command="python -m parcel.schema current",
        app_health_path="/healthz",
        app_health_body='"version"',
        app_environment={"MOTTO": MOTTO},
        app_secrets={"API_TOKEN": encrypted(token)},
        app_extra_requirements=["PyMySQL"],
        app_index_credentials={"127.0.0.1": encrypted(f"reader:{index_password}")},
        app_database_variables={"DATABASE_URL": "sqlalchemy-pymysql", "DB_PASSWORD": "{password}"},
        app_static={"/static/": "src/parcel/static"},
        app_processes={"worker": "python -m parcel.work"},
        app_single_processes={"clock": "parcel-clock"},
        app_timers={"digest": {"command": "python -m parcel.work digest", "calendar": "hourly"}},
    )
    on_host("sudo /opt/outport/run /srv/listings python -m parcel.schema drop")
    remove("shelf")


def test_a_package_is_deployed_with_every_setting(undisturbed: Visits, parcel: Options, token: str) -> None:
    played = play("site.yml", *parcel).passed()
    visitor = operations.visitor()
    assert "The app's gunicorn.conf.py sets bind, which has no effect" in played.text
    workers = f"pgrep --count --parent $(systemctl show --property=MainPID --value listings@{live()}.service)"
    assert on_host(workers) == "1"
    assert visitor.get("/").json() == {
        "version": 1,
        "motto": MOTTO,
        "secret": digest(token),
        "database": "listings",
    }
    assert units() == units_of(live())
    assert on_host("sudo find /run -maxdepth 1 -name 'outport-*' ! -name outport-lease") == ""
    assert on_host("sudo /opt/outport/run /srv/listings python -c 'import shelf; print(shelf.NAME)'") == "shelf"
    for name in ("worker", "clock"):
        assert f"{name} 1 {digest(token)}" in log_of(f"listings-{name}@{live()}.service")
    assert "listings-digest.timer" in timers()
    on_host("sudo systemctl start listings-digest.service")
    assert f"digest 1 {digest(token)}" in log_of("listings-digest.service")
    assert on_host("cat /srv/listings/live/schema") == "1"
    hashed, plain = visitor.get("/static/parcel.3f2a9c1b.css"), visitor.get("/static/parcel.css")
    assert hashed.body == b"body { color: black }\n"
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.headers["content-type"] == "text/css"
    played = play("playbooks/deploy.yml", *parcel).passed()
    assert played.changed == []


def test_a_stored_secret_is_delivered_by_the_next_deploy(
    undisturbed: Visits, parcel: Options, stored_token: str
) -> None:
    former = live()
    played = play("playbooks/secrets.yml", *parcel, "-e", "secret_name=MAIL_TOKEN", text=stored_token).passed()
    assert stored_token not in played.stdout
    assert live() == former
    # Of the same commit.
    play("playbooks/deploy.yml", *parcel).passed()
    assert live() != former
    # Not a Python program, so it has the variable itself.
    assert on_host("sudo /opt/outport/run /srv/listings printenv MAIL_TOKEN") == stored_token


def test_a_secret_is_in_no_file_and_in_no_environment(
    site: Visitor, parcel: Options, token: str, stored_token: str, repository_token: str, secret: dict[str, Any]
) -> None:
    """Search the initial environments and arguments of processes in /proc, and the files of the host."""
    secrets = (token, stored_token, repository_token, secret["password"], quote(secret["password"], safe=""))
    searched = [text.encode() for text in secrets]
    script = f"""
import glob, os
searched = {searched!r}
places = glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
for top in ("/srv", "/etc", "/opt", "/run", "/tmp", "/var"):
    for directory, _, names in os.walk(top):
        places += [os.path.join(directory, name) for name in names]
read = 0
for place in places:
    if not place.startswith("/proc/") and (os.path.islink(place) or not os.path.isfile(place)):
        continue
    try:
        with open(place, "rb") as file:
            content = file.read()
    except (FileNotFoundError, ProcessLookupError):
        # The process has exited, or the file was removed.
        continue
    read += 1
    if any(secret in content for secret in searched):
        print("found in", place)
print(read > 1000)
"""
    assert on_host("sudo python3 -", text=script) == "True"


def test_the_next_deploy_delivers_that_a_secret_is_removed(undisturbed: Visits, parcel: Options) -> None:
    play("playbooks/secrets.yml", *parcel, "-e", "secret_remove=MAIL_TOKEN").passed()
    play("playbooks/deploy.yml", *parcel).passed()
    assert on_host("sudo /opt/outport/run /srv/listings printenv MAIL_TOKEN || echo removed") == "removed"


def test_a_rollback_includes_the_other_processes_and_checks_the_schema_revision(
    undisturbed: Visits, parcel: Options
) -> None:
    first = live()
    publish("parcel", "main", version(2, 2), onto="main", message="Version 2")
    play("playbooks/deploy.yml", *parcel).passed()
    second = live()
    assert_only_version(2)
    messages = play("playbooks/rollback.yml", *parcel).refused().messages[0]
    assert (
        f"Release {first} was deployed with schema revision '1';\nthe database is at '2'. Nothing was changed."
        in messages
    )
    assert "-e allow_schema_mismatch=true" in messages
    assert "playbooks/deploy.yml" in messages
    assert live() == second
    assert_only_version(2)
    play("playbooks/rollback.yml", *parcel, "-e", "allow_schema_mismatch=true").passed()
    assert live() == first
    assert_only_version(1)


def assert_only_version(number: int) -> None:
    """Assert that the site and all processes run this version, and that no unit of another release remains."""
    assert operations.visitor().get("/").json()["version"] == number
    assert units() == units_of(live())
    assert f"worker {number} " in log_of(f"listings-worker@{live()}.service")


def encrypted(text: str) -> str:
    """KMS ciphertext of a secret, for the settings."""
    context = {"Application": "listings", "Environment": "lab"}
    answer = aws.client("kms").encrypt(KeyId="alias/listings-lab", Plaintext=text.encode(), EncryptionContext=context)
    return base64.b64encode(answer["CiphertextBlob"]).decode()


def digest(text: str) -> str:
    """The digest that the app shows of a secret."""
    return hashlib.sha256(text.encode()).hexdigest()


def units_of(release: str) -> set[str]:
    """The services of the parcel app in a release."""
    return {f"listings{process}@{release}.service" for process in ("", "-worker", "-clock")}


def timers() -> set[str]:
    """The app's timers."""
    shown = on_host("systemctl list-units --plain --no-legend 'listings-*.timer'")
    return {line.split()[0] for line in shown.splitlines()}


def log_of(unit: str) -> str:
    """The log of a service."""
    return on_host(f"sudo journalctl --no-pager --output=cat --unit={unit}")
