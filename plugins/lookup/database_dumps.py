"""Ansible lookup: the dumps of a bucket, with an address of each for a host that may not read them itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: database_dumps
short_description: List the dumps of a bucket
description:
  - Returns for each bucket a dict with the complete dumps. A key is that of the dump's manifest in S3, without its suffix .json.
  - A value has the C(manifest), and a presigned C(url) of the dump, which anybody who knows it can read for half an hour.
options:
  _terms: {description: Names of buckets., required: true, type: list, elements: str}
extends_documentation_fragment: [amazon.aws.boto3, amazon.aws.common.plugins, amazon.aws.region.plugins]
author: [Outport]
"""

_SECONDS = 1800
_MANIFEST, _DUMP = ".json", ".sql.gz"


class LookupModule(AWSLookupBase):
    """The lookup `database_dumps`."""

    def run(self, terms: list[str], variables: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Return the dumps of each bucket."""
        super().run(terms, variables, **kwargs)
        s3 = self.client("s3", config=Config(signature_version="s3v4", max_pool_connections=8))
        return [self._dumps(s3, bucket) for bucket in terms]

    def _dumps(self, s3: Any, bucket: str) -> dict[str, Any]:
        def read(name: str) -> dict[str, Any]:
            manifest = json.loads(s3.get_object(Bucket=bucket, Key=f"{name}{_MANIFEST}")["Body"].read())
            place = {"Bucket": bucket, "Key": f"{name}{_DUMP}"}
            return {"manifest": manifest, "url": s3.generate_presigned_url("get_object", place, ExpiresIn=_SECONDS)}

        try:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="dumps/")
            keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
            names = [
                key.removesuffix(_MANIFEST)
                for key in keys
                if key.endswith(_MANIFEST) and f"{key.removesuffix(_MANIFEST)}{_DUMP}" in keys
            ]
            with ThreadPoolExecutor(8) as pool:
                return dict(zip(names, pool.map(read, names), strict=True))
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(
                f"Cannot read the dumps in {bucket}: {error}. Run this with the credentials of an operator, see bin/policies."
            ) from None
