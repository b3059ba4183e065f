"""Stores of photo files: an S3 bucket, or a directory without AWS. Both have the same interface."""

import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from config import Bucket
from flask import Flask, current_app

# Seconds and attempts: a visitor waits for the response.
_CLIENT = ClientConfig(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2}, max_pool_connections=20)


class MediaError(Exception):
    """The store is unavailable or refuses. The message has the reason, without a key."""


class Media(Protocol):
    """A store of files; a key is a path of letters, digits, dots and slashes."""

    def put(self, key: str, content: bytes, kind: str) -> None:
        """Store `content` of the media type `kind`.

        Raises:
            MediaError: It was not stored.
        """

    def get(self, key: str) -> bytes | None:
        """Return a file's content, None if it does not exist.

        Raises:
            MediaError: The store is unavailable.
        """

    def delete(self, keys: list[str]) -> None:
        """Delete files; a missing one is no error.

        Raises:
            MediaError: Some files may remain.
        """

    def check(self) -> None:
        """Check whether the store is available.

        Raises:
            MediaError: It is not.
        """


class Directory:
    """Files in a directory, which is created on first use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, key: str, content: bytes, kind: str) -> None:
        path = self._directory / key
        part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            raise MediaError(f"can't write to the media directory: {error.strerror}") from None

    def get(self, key: str) -> bytes | None:
        try:
            return (self._directory / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MediaError(f"can't read from the media directory: {error.strerror}") from None

    def delete(self, keys: list[str]) -> None:
        try:
            for key in keys:
                (self._directory / key).unlink(missing_ok=True)
            for directory in {(self._directory / key).parent for key in keys}:
                with suppress(FileNotFoundError):
                    if not any(directory.iterdir()):
                        directory.rmdir()
        except OSError as error:
            raise MediaError(f"can't delete from the media directory: {error.strerror}") from None

    def check(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self._directory):
                pass
        except OSError as error:
            raise MediaError(f"can't write to the media directory: {error.strerror}") from None


class S3:
    """Objects in a private bucket, accessed with the host's role."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._made: Any = None

    def put(self, key: str, content: bytes, kind: str) -> None:
        self._ask("put_object", Key=key, Body=content, ContentType=kind)

    def get(self, key: str) -> bytes | None:
        answer = self._ask("get_object", missing_is_none=True, Key=key)
        if answer is None:
            return None
        try:
            return answer["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise MediaError(f"S3 get_object broke off: {type(error).__name__}") from None

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self._ask("delete_object", Key=key)

    def check(self) -> None:
        self._ask("head_bucket")

    def _ask(self, action: str, *, missing_is_none: bool = False, **options: Any) -> Any:
        try:
            return getattr(self._client(), action)(Bucket=self._bucket.name, **options)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            if missing_is_none and code == "NoSuchKey":
                return None
            raise MediaError(f"S3 refuses {action}: {code}") from None
        except BotoCoreError as error:
            raise MediaError(f"S3 does not answer {action}: {type(error).__name__}") from None

    def _client(self) -> Any:
        """Return the client, created on first use in each worker, because it takes a while."""
        with self._lock:
            if self._made is None:
                self._made = boto3.client("s3", region_name=self._bucket.region, config=_CLIENT)
            return self._made


def init_app(app: Flask, place: Bucket | Path) -> None:
    """Set the store of `app`."""
    app.extensions["media"] = S3(place) if isinstance(place, Bucket) else Directory(place)


def store() -> Media:
    """Return the store of the current app."""
    return current_app.extensions["media"]
