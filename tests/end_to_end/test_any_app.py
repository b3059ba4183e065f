"""Other kinds of apps, deployed by settings only, instead of the example app, which is restored at the end."""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from conftest import Visits
from support.hosts import live, on_host, units
from support.plays import play

from lab import operations
from lab.layout import AWS_ENDPOINT
from lab.repositories import address, publish, remove
from lab.visitor import Visitor

# Each responds to the requests of the fixture `site`, which are sent while one app replaces another.
BARE = {
    "requirements.txt": "flask\n",
    "app.py": """\
from flask import Flask

application = Flask(__name__)


@application.get("/")
@application.get("/api/v1/listings")
def home():
    return "a bare app"
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
dependencies = ["boto3", "cryptography", "flask", "PyMySQL"]

[project.scripts]
parcel-clock = "parcel.work:clock"
""",
    "src/parcel/__init__.py": """\
import hashlib
import os

from flask import Flask

VERSION = 1


def secret():
    return hashlib.sha256(os.environ["API_TOKEN"].encode()).hexdigest()


def create_app():
    app = Flask(__name__, static_folder=None)

    @app.get("/")
    @app.get("/healthz")
    @app.get("/api/v1/listings")
    def text():
        return {"version": VERSION, "motto": os.environ["MOTTO"], "secret": secret()}

    return app
""",
    "src/parcel/work.py": """\
import sys
import time

from parcel import VERSION, secret


def work(what):
    while True:
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
    "src/parcel/schema.py": """\
import base64
import json
import os
import sys
from pathlib import Path

import boto3
import pymysql

REVISION = 1


def connect():
    ciphertext = base64.b64decode(Path(os.environ["DATABASE_CREDENTIALS_FILE"]).read_text())
    context = json.loads(os.environ["DATABASE_CREDENTIALS_CONTEXT"])
    answer = boto3.client("kms").decrypt(CiphertextBlob=ciphertext, EncryptionContext=context)
    found = json.loads(answer["Plaintext"])
    return pymysql.connect(
        host=found["host"], port=int(found["port"]), user=found["username"], password=found["password"],
        database=found["dbname"], autocommit=True, ssl={"ca": os.environ["DATABASE_CA_FILE"]},
    )


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
    "src/parcel/static/parcel.3f2a9c1b.css": "body { color: black }\n",
    "src/parcel/static/parcel.css": "body { color: white }\n",
}
MOTTO = 'say "5 $HOME" \\ `date` \' #1 %h'
QUICK = ("-e", "gunicorn_monitor_seconds=3", "-e", "gunicorn_readiness_delay=1")

Options = tuple[str, ...]


def version(number: int, revision: int) -> dict[str, str]:
    """The parcel app in a version for a schema revision."""
    package, schema = "src/parcel/__init__.py", "src/parcel/schema.py"
    return PARCEL | {
        package: PARCEL[package].replace("VERSION = 1", f"VERSION = {number}"),
        schema: PARCEL[schema].replace("REVISION = 1", f"REVISION = {revision}"),
    }


@pytest.fixture(scope="module", autouse=True)
def restore_the_example_app() -> Iterator[None]:
    """Restore the app of the lab's settings; no unit of another app may run."""
    yield
    play("site.yml", *QUICK).passed()
    assert units() == {f"listings@{live()}.service"}
    assert timers() == {"listings-clean.timer"}
    for name in ("bare", "parcel"):
        remove(name)


def settings(directory: Path, **changed: Any) -> Options:
    """Options that override the lab's settings with a JSON file."""
    file = directory / "settings.json"
    file.write_text(json.dumps({"app_ref": "main", "app_subdir": "", "app_client_dir": "", **changed}))
    return ("-e", f"@{file}", *QUICK)


def test_an_app_with_only_a_requirements_file_is_deployed(undisturbed: Visits, tmp_path: Path) -> None:
    """No lock, no hashes, no gunicorn, no health path, no set-up."""
    publish("bare", "main", BARE)
    options = settings(
        tmp_path,
        app_repository=address("bare"),
        app_entry="app:application",
        app_setup_commands=[],
        app_health_path="/",
    )
    play("site.yml", *options).passed()
    assert operations.visitor().get("/").body == b"a bare app"
    assert units() == {f"listings@{live()}.service"}


@pytest.fixture(scope="module")
def token() -> str:
    """A secret of the app."""
    return f"token-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def parcel(token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    """Options that deploy the package with every setting; its tables are removed afterwards."""
    publish("parcel", "main", version(1, 1), message="Version 1")
    yield settings(
        tmp_path_factory.mktemp("parcel"),
        app_repository=address("parcel"),
        app_entry="parcel:create_app()",
        app_setup_commands=["python -m parcel.schema upgrade"],
        app_schema_command="python -m parcel.schema current",
        app_health_path="/healthz",
        app_health_body='"version"',
        app_environment={"MOTTO": MOTTO},
        app_secrets={"API_TOKEN": encrypted(token)},
        app_static={"/static/": "src/parcel/static"},
        app_processes={"worker": "python -m parcel.work"},
        app_single_processes={"clock": "parcel-clock"},
        app_timers={"digest": {"command": "python -m parcel.work digest", "calendar": "hourly"}},
    )
    root = "/srv/listings/live"
    on_host(
        f"sudo systemd-run --quiet --pipe --wait --uid=listings --property=EnvironmentFile={root}/environment"
        f" {root}/venv/bin/python -m parcel.schema drop"
    )


def test_a_package_is_deployed_with_every_setting(undisturbed: Visits, parcel: Options, token: str) -> None:
    played = play("site.yml", *parcel).passed()
    visitor = operations.visitor()
    assert visitor.get("/").json() == {"version": 1, "motto": MOTTO, "secret": digest(token)}
    assert units() == units_of(live())
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


def test_a_secret_is_in_no_file_and_in_no_environment(site: Visitor, parcel: Options, token: str) -> None:
    """Search the initial environments and arguments of processes in /proc, and the files of the host."""
    script = f"""
import glob, os
secret = {token.encode()!r}
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
    if secret in content:
        print("found in", place)
print(read > 1000)
"""
    assert on_host("sudo python3 -", text=script) == "True"


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
    own = operations.environment()
    kms = boto3.client(
        "kms",
        endpoint_url=AWS_ENDPOINT,
        region_name=own["AWS_DEFAULT_REGION"],
        aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"],
    )
    context = {"Application": "listings", "Environment": "lab"}
    answer = kms.encrypt(KeyId="alias/listings-lab", Plaintext=text.encode(), EncryptionContext=context)
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
