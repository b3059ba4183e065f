"""The launcher: a program gets the secrets and the database's credentials in its environment, but /proc does not show them."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from sqlalchemy import make_url

ROOT = Path(__file__).parent.parent
REPORT = """\
import json, os, sys
with open("/proc/self/environ", "rb") as file:
    shown = b"API_TOKEN" in file.read()
print(json.dumps([os.environ.get("API_TOKEN"), shown, sys.argv[1:]]))
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with a script, a module and a file that report their environment, and a launcher with the secret `hush`."""
    programs, app = tmp_path / "release/venv/bin", tmp_path / "release/app"
    programs.mkdir(parents=True)
    app.mkdir()
    (programs / "python").symlink_to(Path(sys.executable).resolve())
    (programs / "report").write_text(f"#!{programs}/python\n{REPORT}")
    (programs / "report").chmod(0o755)
    (app / "reporter.py").write_text(REPORT)
    (tmp_path / "release/secrets.json").write_text("{}")
    shutil.copy(ROOT / "roles/python_app/files/launcher/launch", tmp_path / "launch")
    (tmp_path / "decrypt").write_text("""print('{"API_TOKEN": "hush"}')\n""")
    return tmp_path / "release"


@pytest.mark.parametrize("command", ["cd .. && report", "MODE=live report"])
def test_a_command_that_needs_a_shell_is_explained(release: Path, command: str) -> None:
    (release / "processes.json").write_text(json.dumps({"processes": {"web": command}}))
    done = subprocess.run(
        [release / "venv/bin/python", release.parent / "launch", "web"],
        cwd=release / "app",
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "is written as sh -c '…'" in done.stderr


@pytest.mark.parametrize("command", ["report", "python -m reporter", "python reporter.py"])
def test_a_secret_does_not_appear_in_proc(release: Path, command: str) -> None:
    commands = {"web": f"{command} --config 'a b'"}
    (release / "processes.json").write_text(json.dumps({"processes": commands}))
    reported = subprocess.run(
        [release / "venv/bin/python", release.parent / "launch", "web"],
        cwd=release / "app",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert json.loads(reported) == ["hush", False, ["--config", "a b"]]


@pytest.mark.parametrize("arguments", [[], ["/srv/nothing"], ["/srv/nothing", "flask", "--version"]])
def test_run_shows_its_usage(arguments: list[str]) -> None:
    """The command of docs/your-app.md, without an app to run in."""
    command = ["sh", ROOT / "roles/python_app/files/launcher/run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "/srv/NAME COMMAND" in done.stderr


CREDENTIALS = {
    "username": "web",
    "password": "p@:/?#[]%&=+ é'\"\\",
    "host": "db.example.org",
    "port": 3306,
    "dbname": "shop",
}


@pytest.fixture
def decrypt() -> Any:
    """The program `decrypt` as a module."""
    loader = SourceFileLoader("decrypt", str(ROOT / "roles/python_app/files/launcher/decrypt"))
    module = ModuleType("decrypt")
    loader.exec_module(module)
    return module


class Kms:
    """Decrypts base64, as long as the encryption context is the right one."""

    def decrypt(self, *, CiphertextBlob: bytes, EncryptionContext: dict[str, str]) -> dict[str, bytes]:
        assert EncryptionContext == {"Application": "shop"}
        return {"Plaintext": CiphertextBlob}


def database(directory: Path, **variables: str) -> dict[str, Any]:
    """The part `database` of secrets.json, with a ciphertext of CREDENTIALS."""
    file = directory / "database.kms"
    file.write_text(base64.b64encode(json.dumps(CREDENTIALS).encode()).decode())
    return {
        "file": str(file),
        "context": {"Application": "shop"},
        "ca_file": "/etc/shop/ca.pem",
        "variables": variables,
    }


@pytest.mark.parametrize("template", ["sqlalchemy-pymysql", "sqlalchemy-mysqlclient"])
def test_a_ready_made_template_is_a_url_of_sqlalchemy(decrypt: Any, tmp_path: Path, template: str) -> None:
    found = decrypt.database_variables(Kms(), database(tmp_path, DATABASE_URL=template))["DATABASE_URL"]
    url = make_url(found)
    assert (url.username, url.password, url.host, url.port, url.database) == tuple(CREDENTIALS.values())
    assert url.query["ssl_ca"] == "/etc/shop/ca.pem"


def test_a_template_of_ones_own_is_encoded_only_in_a_url(decrypt: Any, tmp_path: Path) -> None:
    found = decrypt.database_variables(
        Kms(),
        database(tmp_path, DB_PASSWORD="{password}", DB_SERVER="{host}:{port}", URL="x://{username}:{password}@h"),
    )
    assert found["DB_PASSWORD"] == CREDENTIALS["password"]
    assert found["DB_SERVER"] == "db.example.org:3306"
    assert urlsplit(found["URL"]).hostname == "h"
    assert unquote(urlsplit(found["URL"]).password or "") == CREDENTIALS["password"]


def test_credentials_that_cannot_be_decrypted_stop_the_start(decrypt: Any, tmp_path: Path) -> None:
    wanted = database(tmp_path, DATABASE_URL="django")
    (tmp_path / "database.kms").unlink()
    with pytest.raises(SystemExit, match=r"credentials in .*database\.kms can't be decrypted"):
        decrypt.database_variables(Kms(), wanted)


def stored(*names: str, **values: str) -> dict[str, Any]:
    """The part `stored` of secrets.json, with a ciphertext of these values."""
    return {"ciphertext": base64.b64encode(json.dumps(values).encode()).decode(), "names": list(names)}


def decrypted(decrypt: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path) -> Any:
    """Return what the program writes for a file `secrets.json`."""
    monkeypatch.setattr(decrypt.boto3, "client", lambda *_arguments, **_options: Kms())
    monkeypatch.setattr(sys, "argv", ["decrypt", str(file)])
    decrypt.main()
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("key", ["stored", "generated"])
def test_every_stored_secret_is_a_variable_and_the_settings_take_precedence(
    decrypt: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, key: str
) -> None:
    """Releases that were built before secrets could be set have `generated`."""
    own = base64.b64encode(b"own").decode()
    part = {key: stored("SECRET_KEY", SECRET_KEY="random", API_TOKEN="set", MAIL="stored")}
    file = tmp_path / "secrets.json"
    file.write_text(
        json.dumps(
            {"region": "eu-west-1", "endpoint_url": "", "context": {"Application": "shop"}, "secrets": {"MAIL": own}}
            | part
        )
    )
    found = decrypted(decrypt, monkeypatch, capsys, file)
    assert found == {"SECRET_KEY": "random", "API_TOKEN": "set", "MAIL": "own"}


def test_an_app_may_have_no_stored_secret(decrypt: Any) -> None:
    assert decrypt.stored_secrets(Kms(), stored(), {"Application": "shop"}) == {}


@pytest.mark.parametrize(
    "wanted", [stored("SECRET_KEY", "SALT", SECRET_KEY="random"), {"ciphertext": "", "names": ["SALT"]}]
)
def test_a_secret_that_was_not_generated_stops_the_start(decrypt: Any, wanted: dict[str, Any]) -> None:
    with pytest.raises(
        SystemExit, match=r"The secret SALT of app_generated_secrets was not generated yet\. Run playbooks/provision"
    ):
        decrypt.stored_secrets(Kms(), wanted, {"Application": "shop"})


def test_no_error_quotes_the_stored_secrets(decrypt: Any) -> None:
    wanted = {"ciphertext": base64.b64encode(b"hush").decode(), "names": []}
    with pytest.raises(SystemExit) as error:
        decrypt.stored_secrets(Kms(), wanted, {"Application": "shop"})
    assert "hush" not in str(error.value)


def test_the_settings_know_each_template_and_each_field(decrypt: Any) -> None:
    pattern = yaml.safe_load((ROOT / "roles/settings/files/spec.yml").read_text())["app_database_variables"]["pattern"]
    for known in (*decrypt.TEMPLATES, *(f"{{{field}}}" for field in (*decrypt.FIELDS, "ca_file"))):
        assert re.fullmatch(pattern, known)
    for wrong in ("sqlalchemy", "postgres", "{name}", "mysql://{user}:{password}@{host}", "{host", "{}", "{host!r}"):
        assert not re.fullmatch(pattern, wrong)
