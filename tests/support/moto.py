"""An account in moto, in this process."""

from typing import Any

import boto3

REGION = "eu-west-1"


def client(service: str) -> Any:
    """Return a client of moto."""
    return boto3.client(service, region_name=REGION)
