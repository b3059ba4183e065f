"""Settings, read from the environment and validated before anything else starts.

There are two ways to configure the database:

* `DATABASE_CREDENTIALS_FILE`, `DATABASE_CREDENTIALS_CONTEXT`, `DATABASE_CA_FILE` and `AWS_REGION`: MySQL over
  verified TLS, with credentials that are KMS ciphertext on disk and decrypted at run time.
* `DATABASE_URL`: any SQLite or MySQL URL; by default a SQLite file in `instance/`.

Photos go to the S3 bucket `MEDIA_BUCKET` in `AWS_REGION`, or else to the directory `MEDIA_FOLDER`, by default `instance/media`.
`WRITES_PER_MINUTE` is how much one address may send: submissions and messages; photos may be three times as many.
"""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

DEFAULT_DATABASE_URL = "sqlite:///listings.sqlite3"
DEFAULT_MEDIA_DIRECTORY = Path(__file__).resolve().parent / "instance" / "media"
DEFAULT_WRITES_PER_MINUTE = 20
MOST_WRITES_PER_MINUTE = 1_000_000
DRIVERS = ("sqlite", "mysql+pymysql")


class ConfigError(Exception):
    """A setting is missing or invalid; the message names the setting, the value found and what is allowed."""

    def __init__(self, setting: str, found: str, allowed: str) -> None:
        super().__init__(f"{setting}: found {found}; allowed is {allowed}")


@dataclass(frozen=True)
class EncryptedCredentials:
    """The file of the database credentials, and the parameters to decrypt them."""

    file: Path
    context: dict[str, str]
    region: str
    ca_file: Path


@dataclass(frozen=True)
class Bucket:
    """The private S3 bucket of the photos."""

    name: str
    region: str


@dataclass(frozen=True)
class Config:
    """All settings. `database_url` is unset exactly when `credentials` is set; no password is ever printed."""

    credentials: EncryptedCredentials | None
    database_url: str | None
    ca_file: Path | None
    media: Bucket | Path
    writes_per_minute: int

    def __repr__(self) -> str:
        return f"Config(credentials={self.credentials!r}, database_url={'set' if self.database_url else None}, media={self.media!r})"


def load(environ: Mapping[str, str]) -> Config:
    """Return the validated settings.

    Raises:
        ConfigError: A setting is missing or has a value that is not allowed.
    """
    credentials = None
    ca_file = _ca_file(environ) if environ.get("DATABASE_CA_FILE") else None
    if environ.get("DATABASE_CREDENTIALS_FILE"):
        credentials = EncryptedCredentials(
            file=_readable_file(environ, "DATABASE_CREDENTIALS_FILE", "a readable file holding base64 KMS ciphertext"),
            context=_context(environ),
            region=_region(environ),
            ca_file=ca_file or _ca_file(environ),
        )
    return Config(
        credentials=credentials,
        database_url=None if credentials else _database_url(environ),
        ca_file=ca_file,
        media=_media(environ),
        writes_per_minute=_writes_per_minute(environ),
    )


def _readable_file(environ: Mapping[str, str], setting: str, allowed: str) -> Path:
    value = environ.get(setting, "")
    if not value:
        raise ConfigError(setting, "nothing", allowed)
    path = Path(value)
    try:
        path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(setting, f"{value!r} ({reason})", allowed) from None
    return path


def _ca_file(environ: Mapping[str, str]) -> Path:
    allowed = "a readable file of PEM certificates, against which the database's certificate is verified"
    path = _readable_file(environ, "DATABASE_CA_FILE", allowed)
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        raise ConfigError("DATABASE_CA_FILE", f"{str(path)!r}, which holds no certificate", allowed) from None
    return path


def _context(environ: Mapping[str, str]) -> dict[str, str]:
    setting = "DATABASE_CREDENTIALS_CONTEXT"
    allowed = 'a JSON object of strings, such as {"Application":"listings","Environment":"production"}'
    value = environ.get(setting, "")
    try:
        context = json.loads(value)
    except ValueError:
        raise ConfigError(setting, repr(value) if value else "nothing", allowed) from None
    if not isinstance(context, dict) or not context or not all(isinstance(v, str) for v in context.values()):
        raise ConfigError(setting, repr(value), allowed)
    return context


def _region(environ: Mapping[str, str]) -> str:
    value = environ.get("AWS_REGION", "")
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d", value):
        raise ConfigError("AWS_REGION", repr(value) if value else "nothing", "an AWS region, such as 'ca-central-1'")
    return value


def _database_url(environ: Mapping[str, str]) -> str:
    value = environ.get("DATABASE_URL") or DEFAULT_DATABASE_URL
    allowed = "an address that starts with " + " or ".join(f"{driver}://" for driver in DRIVERS)
    try:
        driver = make_url(value).drivername
    except (ArgumentError, ValueError):
        # The value may contain a password, so it is not repeated.
        raise ConfigError("DATABASE_URL", "something that is not a database address", allowed) from None
    if driver not in DRIVERS:
        raise ConfigError("DATABASE_URL", f"{driver}://", allowed)
    return value


def _media(environ: Mapping[str, str]) -> Bucket | Path:
    name = environ.get("MEDIA_BUCKET", "")
    if not name:
        return Path(environ.get("MEDIA_FOLDER") or DEFAULT_MEDIA_DIRECTORY).absolute()
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ConfigError("MEDIA_BUCKET", repr(name), "the name of an S3 bucket, such as 'listings-media'")
    return Bucket(name, _region(environ))


def _writes_per_minute(environ: Mapping[str, str]) -> int:
    value = environ.get("WRITES_PER_MINUTE") or str(DEFAULT_WRITES_PER_MINUTE)
    if not re.fullmatch(r"[1-9][0-9]{0,6}", value) or int(value) > MOST_WRITES_PER_MINUTE:
        raise ConfigError("WRITES_PER_MINUTE", repr(value), f"a whole number from 1 to {MOST_WRITES_PER_MINUTE}")
    return int(value)
