"""Settings and credentials: clear errors at the start, and no secret in any output."""

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import boto3
import certifi
import config
import pymysql
import pytest
from moto import mock_aws
from myflaskapp import create_app
from myflaskapp.database.credentials import CredentialsError, CredentialStore, decrypt
from myflaskapp.database.engine import describe

REGION = "ca-central-1"
CONTEXT = {"Application": "listings", "Environment": "production"}
PASSWORD = "hush-7Wd"
LOGIN = {"username": "keeper-u", "password": PASSWORD, "host": "db.example.org", "port": 3306, "dbname": "listings"}


class Vault:
    """A KMS key and the file of credentials that it encrypts."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._kms = boto3.client("kms", region_name=REGION)
        self._key = self._kms.create_key()["KeyMetadata"]["KeyId"]
        self.write(json.dumps(LOGIN))

    def write(self, content: str) -> None:
        blob = self._kms.encrypt(KeyId=self._key, Plaintext=content.encode(), EncryptionContext=CONTEXT)
        self.file.write_bytes(base64.b64encode(blob["CiphertextBlob"]) + b"\n")

    def environ(self, **changes: str) -> dict[str, str]:
        return {
            "DATABASE_CREDENTIALS_FILE": str(self.file),
            "DATABASE_CREDENTIALS_CONTEXT": json.dumps(CONTEXT),
            "DATABASE_CA_FILE": certifi.where(),
            "AWS_REGION": REGION,
            **changes,
        }

    def source(self, **changes: str) -> config.EncryptedCredentials:
        source = config.load(self.environ(**changes)).credentials
        assert source
        return source


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Vault(tmp_path / "database.enc")


class Server:
    """A fake MySQL server behind PyMySQL: accepts one password, records the arguments."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.asked: list[dict[str, object]] = []

    def connect(self, **arguments: object) -> object:
        self.asked.append(arguments)
        if arguments["password"] != self.password:
            raise pymysql.err.OperationalError(1045, f"Access denied for user {arguments['user']!r}")
        raise pymysql.err.OperationalError(1040, "Too many connections")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(PASSWORD)
    monkeypatch.setattr(pymysql, "connect", server.connect)
    return server


def test_credentials_are_decrypted(vault: Vault) -> None:
    credentials = decrypt(vault.source())
    assert vars(credentials) == LOGIN
    assert PASSWORD.encode() not in vault.file.read_bytes()


def test_credentials_are_not_shown(vault: Vault) -> None:
    store = CredentialStore(vault.source())
    shown = f"{store.get()!r} {store.get()} {store!r} {vars(store)} {config.load(vault.environ())!r}"
    for secret in (PASSWORD, LOGIN["username"], LOGIN["host"]):
        assert str(secret) not in shown


def test_the_wrong_context_is_refused(vault: Vault) -> None:
    source = vault.source(DATABASE_CREDENTIALS_CONTEXT='{"Application":"listings","Environment":"staging"}')
    with pytest.raises(CredentialsError, match="InvalidCiphertext"):
        decrypt(source)


@pytest.mark.parametrize(
    "content",
    [
        PASSWORD,
        f'{{"password": "{PASSWORD}"',
        json.dumps([PASSWORD]),
        json.dumps(LOGIN | {"host": None}),
        json.dumps(LOGIN | {"port": "x"}),
        json.dumps(LOGIN | {"port": 99999}),
        json.dumps({key: value for key, value in LOGIN.items() if key != "dbname"}),
    ],
)
def test_invalid_content_is_refused_without_being_shown(vault: Vault, content: str) -> None:
    vault.write(content)
    with pytest.raises(CredentialsError) as caught:
        decrypt(vault.source())
    error: BaseException | None = caught.value
    assert PASSWORD not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def test_a_damaged_file_is_reported(vault: Vault) -> None:
    source = vault.source()
    vault.file.write_text("not base64 !")
    with pytest.raises(CredentialsError, match="is not base64"):
        decrypt(source)
    vault.file.unlink()
    with pytest.raises(CredentialsError, match="No such file"):
        decrypt(source)


def test_the_connection_gets_the_credentials_and_verified_tls(vault: Vault, server: Server) -> None:
    app = create_app(config.load(vault.environ()))
    assert app.test_client().get("/readyz").status_code == 503
    asked = server.asked[0]
    assert [asked[key] for key in ("host", "port", "user", "password", "database")] == [
        LOGIN[key] for key in ("host", "port", "username", "password", "dbname")
    ]
    # PyMySQL's interpretation of the arguments is what counts.
    tls = {key: value for key, value in asked.items() if key.startswith("ssl")}
    context = pymysql.connections.Connection(defer_connect=True, **tls).ctx
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engine
        assert PASSWORD not in engine.url.render_as_string(hide_password=False)


def test_rotated_credentials_are_read_again_once(vault: Vault, server: Server) -> None:
    client = create_app(config.load(vault.environ())).test_client()
    client.get("/api/v1/categories")
    server.password = "second-9Kp"
    server.asked.clear()
    client.get("/api/v1/categories")
    assert [asked["password"] for asked in server.asked] == [PASSWORD, PASSWORD]
    vault.write(json.dumps(LOGIN | {"password": server.password}))
    server.asked.clear()
    client.get("/api/v1/categories")
    client.get("/api/v1/categories")
    assert [asked["password"] for asked in server.asked] == [PASSWORD, server.password, server.password]


def test_the_networks_error_is_named_when_a_connection_is_lost() -> None:
    lost = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
    # PyMySQL raises its error while it handles this one.
    lost.__context__ = ConnectionResetError(104, "Connection reset by peer")
    assert describe(lost) == {"reason": "OperationalError", "code": 2013, "cause": "Connection reset by peer"}


def test_refused_credentials_are_a_503_and_not_in_the_log(
    vault: Vault, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.password = "another"
    client = create_app(config.load(vault.environ())).test_client()
    answers = [client.get(path) for path in ("/api/v1/listings", "/listings/1", "/readyz")]
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    told = capsys.readouterr().out + "".join(answer.text for answer in answers)
    assert '"code": 1045' in told
    for secret in (PASSWORD, LOGIN["username"], LOGIN["host"]):
        assert str(secret) not in told


def test_refused_decryption_is_a_503_that_names_the_cause(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    environ = vault.environ(DATABASE_CREDENTIALS_CONTEXT='{"Application":"other"}')
    client = create_app(config.load(environ)).test_client()
    assert client.get("/healthz").status_code == 200
    assert [client.get(path).status_code for path in ("/readyz", "/api/v1/listings")] == [503, 503]
    assert "KMS refuses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DATABASE_CREDENTIALS_FILE", "/nowhere/database.enc"),
        ("DATABASE_CA_FILE", ""),
        ("DATABASE_CA_FILE", "/nowhere/ca.pem"),
        ("DATABASE_CA_FILE", __file__),
        ("DATABASE_CREDENTIALS_CONTEXT", ""),
        ("DATABASE_CREDENTIALS_CONTEXT", "{"),
        ("DATABASE_CREDENTIALS_CONTEXT", "[]"),
        ("DATABASE_CREDENTIALS_CONTEXT", "{}"),
        ("DATABASE_CREDENTIALS_CONTEXT", '{"Application": 1}'),
        ("AWS_REGION", ""),
        ("AWS_REGION", "Canada"),
    ],
)
def test_an_invalid_setting_stops_the_start(vault: Vault, setting: str, value: str) -> None:
    with pytest.raises(config.ConfigError, match=f"^{setting}: found .*; allowed is "):
        config.load(vault.environ(**{setting: value}))


@pytest.mark.parametrize(
    "url", ["postgresql://u:hush@h/d", "mysql://u:hush@h/d", "hush", "mysql+pymysql://u:hush@h:x/d"]
)
def test_an_invalid_database_url_stops_the_start_and_is_not_repeated(url: str) -> None:
    with pytest.raises(config.ConfigError, match=r"^DATABASE_URL: found ") as caught:
        config.load({"DATABASE_URL": url})
    assert "hush" not in str(caught.value)


def test_the_default_database_is_a_local_file() -> None:
    assert config.load({}).database_url == "sqlite:///listings.sqlite3"


def test_a_database_url_is_not_shown() -> None:
    assert "hush" not in repr(config.load({"DATABASE_URL": "mysql+pymysql://u:hush@h/d"}))
