"""The dumps in S3: objects `dumps/SCHEMA/NAME.sql.gz`, each with its manifest `NAME.json`."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

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
    """The dumps of a schema in a bucket."""

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

    def names(self) -> list[str]:
        """Return the names of the dumps that have a manifest, newest first."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        keys = {entry["Key"].removeprefix(self._prefix) for page in pages for entry in page.get("Contents", [])}
        return sorted(
            (key[:-5] for key in keys if key.endswith(".json") and f"{key[:-5]}.sql.gz" in keys), reverse=True
        )

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of all dumps, newest first."""
        return [self.manifest(dump) for dump in self.names()]

    def manifest(self, dump: str) -> dict[str, Any]:
        """Return the manifest of a dump.

        Raises:
            RestoreError: There is no such dump.
        """
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}{dump}.json")
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            known = ", ".join(self.names()[:5]) or "none yet"
            raise RestoreError(f"There is no dump '{dump}'. The newest ones are: {known}.") from None
        content: dict[str, Any] = json.loads(found["Body"].read())
        return content

    def lines(self, manifest: Mapping[str, Any]) -> Iterator[bytes]:
        """Stream the lines of a dump."""
        found = self._s3.get_object(Bucket=self._bucket, Key=f"{self._prefix}{manifest['dump']}.sql.gz")
        yield from gzip.GzipFile(fileobj=found["Body"])
