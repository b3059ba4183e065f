"""The database credentials: KMS ciphertext on disk, decrypted at run time, in memory only."""

import base64
import binascii
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from config import EncryptedCredentials

# Seconds and attempts: a request waits for KMS, so it fails quickly.
_CLIENT = ClientConfig(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
_MAX_PORT = 65535


class CredentialsError(Exception):
    """The credentials can't be read or decrypted. The message has the reason and never a part of them."""


@dataclass(frozen=True)
class Credentials:
    """The parameters of a login to the database; `repr` omits host, username and password."""

    port: int
    dbname: str
    host: str = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)


class CredentialStore:
    """Decrypts the credentials on first use, and again when the server rejects them."""

    def __init__(self, source: EncryptedCredentials) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._current: Credentials | None = None

    def get(self) -> Credentials:
        """Return the credentials, decrypted at most once.

        Raises:
            CredentialsError: The file or KMS refuses.
        """
        with self._lock:
            if self._current is None:
                self._current = decrypt(self._source)
            return self._current

    def renew(self, refused: Credentials) -> Credentials:
        """Return credentials that were decrypted after `refused`; one thread decrypts, the others use its result.

        Raises:
            CredentialsError: The file or KMS refuses.
        """
        with self._lock:
            if self._current is refused or self._current is None:
                self._current = decrypt(self._source)
            return self._current


def decrypt(source: EncryptedCredentials) -> Credentials:
    """Return the credentials in the file of `source`.

    Raises:
        CredentialsError: The file can't be read, KMS refuses, or the content is not valid.
    """
    try:
        ciphertext = base64.b64decode(source.file.read_bytes().strip(), validate=True)
    except OSError as error:
        raise CredentialsError(f"can't read {source.file}: {error.strerror}") from None
    except binascii.Error:
        raise CredentialsError(f"{source.file} is not base64") from None
    try:
        kms = boto3.client("kms", region_name=source.region, config=_CLIENT)
        plaintext = kms.decrypt(CiphertextBlob=ciphertext, EncryptionContext=source.context)["Plaintext"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise CredentialsError(f"KMS refuses to decrypt {source.file}: {code}") from None
    except BotoCoreError as error:
        raise CredentialsError(f"can't ask KMS to decrypt {source.file}: {type(error).__name__}") from None
    return _parse(plaintext)


def _parse(plaintext: bytes) -> Credentials:
    """Return the credentials in a JSON object; errors contain neither the content nor its cause."""
    try:
        content: Any = json.loads(plaintext)
    except ValueError:
        raise CredentialsError("the decrypted credentials are not JSON") from None
    if not isinstance(content, dict):
        raise CredentialsError("the decrypted credentials are not a JSON object")
    texts = {}
    for key in ("host", "dbname", "username", "password"):
        texts[key] = content.get(key)
        if not isinstance(texts[key], str) or not texts[key]:
            raise CredentialsError(f"the decrypted credentials lack a text named {key!r}")
    port = str(content.get("port", ""))
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT)) and 0 < int(port) <= _MAX_PORT):
        raise CredentialsError("the decrypted credentials lack a port number from 1 to 65535 named 'port'")
    return Credentials(port=int(port), **texts)
