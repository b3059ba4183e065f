"""The dumps in S3: objects `dumps/SCHEMA/NAME.sql.gz`, each with its manifest `NAME.json`."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from boto3.s3.transfer import TransferConfig

from .load import RestoreError

# Parts of 32 MiB: up to 312 GiB compressed, with two of them in memory.
_TRANSFER = TransferConfig(multipart_chunksize=32 << 20, multipart_threshold=32 << 20, max_concurrency=2)
_TRANSFER.max_in_memory_upload_chunks = 2


class _Packed(io.RawIOBase):
    """A readable file that compresses the output of an iterator as a stream."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._gzip = iter(blocks), zlib.compressobj(6, zlib.DEFLATED, 31)
        self._ready = bytearray()
        self._over = False
        self.size = self.packed = 0

    def readable(self) -> bool:
        """Return True: the file is readable."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        while not self._over and (size < 0 or len(self._ready) < size):
            block = next(self._blocks, None)
            if block is None:
                self._over = True
                self._ready += self._gzip.flush()
            else:
                self.size += len(block)
                self._ready += self._gzip.compress(block)
        wanted = len(self._ready) if size < 0 else size
        found = bytes(self._ready[:wanted])
        del self._ready[:wanted]
        self.packed += len(found)
        return found


class Store:
    """The place of a schema's dumps in a bucket."""

    def __init__(self, s3: Any, bucket: str, schema: str) -> None:
        self._s3, self._bucket, self._prefix = s3, bucket, f"dumps/{schema}/"

    def address(self, dump: str) -> str:
        """Return a dump's S3 URI."""
        return f"s3://{self._bucket}/{self._prefix}{dump}.sql.gz"

    def save(self, dump: str, sql: Iterable[bytes], manifest: dict[str, Any]) -> None:
        """Stream a dump to S3, then store its manifest: a failed dump leaves neither."""
        packed = _Packed(sql)
        self._s3.upload_fileobj(packed, self._bucket, f"{self._prefix}{dump}.sql.gz", Config=_TRANSFER)
        manifest |= {"dump": dump, "bytes": packed.size, "compressed_bytes": packed.packed}
        text = json.dumps(manifest, indent=1).encode()
        self._s3.put_object(
            Bucket=self._bucket, Key=f"{self._prefix}{dump}.json", Body=text, ContentType="application/json"
        )


class Dumps:
    """The dumps of a schema, as the control machine lists them: this host may store dumps, and read none by itself.

    `found` has, by a dump's key in S3, its `manifest` and a presigned `url`; None without a list.
    """

    def __init__(self, found: Mapping[str, Mapping[str, Any]] | None, schema: str) -> None:
        self._listed, self._prefix = found, f"dumps/{schema}/"

    @property
    def _found(self) -> dict[str, Mapping[str, Any]]:
        """The dumps by name. Raises RestoreError without a list."""
        if self._listed is None:
            raise RestoreError("This host can't read the dumps. Run playbooks/restore.yml, which can.")
        found = self._listed.items()
        return {key.removeprefix(self._prefix): one for key, one in found if key.startswith(self._prefix)}

    def names(self) -> list[str]:
        """Return the names of the dumps, newest first."""
        return sorted(self._found, reverse=True)

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of all dumps, newest first."""
        return [self.manifest(dump) for dump in self.names()]

    def manifest(self, dump: str) -> dict[str, Any]:
        """Return the manifest of a dump.

        Raises:
            RestoreError: There is no such dump.
        """
        return dict(self._one(dump)["manifest"])

    def lines(self, dump: str) -> Iterator[bytes]:
        """Stream the lines of a dump.

        Raises:
            RestoreError: It cannot be read.
        """
        try:
            with urlopen(self._one(dump)["url"], timeout=60) as response:
                yield from gzip.GzipFile(fileobj=response)
        except URLError as error:
            raise RestoreError(
                f"The dump '{dump}' can't be read: {error}. Run this again: its address expires."
            ) from None

    def _one(self, dump: str) -> Mapping[str, Any]:
        if dump not in self._found:
            known = ", ".join(self.names()[:5]) or "none yet"
            raise RestoreError(f"There is no dump '{dump}'. The newest ones are: {known}.")
        return self._found[dump]
