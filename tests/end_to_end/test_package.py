"""A package with every setting, deployed in place of the live app; the example app is live at the end."""

import base64
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from conftest import Visits
from support.apps import QUICK, SHELF, Options, settings, timers
from support.hosts import live, on_host, units
from support.plays import play

from lab import aws, git_server, operations
from lab.repositories import address, publish, remove
from lab.visitor import Visitor

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
MOTTO = 'say "5 $HOME" \\ `date` \' #1 %h'


def version(number: int, revision: int) -> dict[str, str]:
    """The parcel app in a version for a schema revision."""
    package, schema = "src/parcel/__init__.py", "src/parcel/schema.py"
    return PARCEL | {
        "pyproject.toml": PARCEL["pyproject.toml"].replace("SHELF", address("shelf")),
        package: PARCEL[package].replace("VERSION = 1", f"VERSION = {number}"),
        schema: PARCEL[schema].replace("REVISION = 1", f"REVISION = {revision}"),
    }


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
    """Options that deploy the package with every setting; the example app is live afterwards, without a table or unit of the package."""
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
    play("site.yml", *QUICK).passed()
    assert units() == {f"listings@{live()}.service"}
    assert timers() == {"listings-clean.timer"}
    for name in ("parcel", "shelf"):
        remove(name)


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


def log_of(unit: str) -> str:
    """The log of a service."""
    return on_host(f"sudo journalctl --no-pager --output=cat --unit={unit}")
