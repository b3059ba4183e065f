"""Clients of the lab's AWS API, and the database credentials as an operator of the account may read them."""

import base64
import json
from typing import Any
from urllib.parse import quote

from lab import certificates, environments
from lab.layout import AWS_ENDPOINT, ROOT_KEY
from lab.status import Status


def client(service: str) -> Any:
    """Return a client of the lab's AWS API, as the account's root user."""
    # Takes longer to import than most commands of bin/lab run.
    import boto3

    return boto3.client(
        service,
        endpoint_url=AWS_ENDPOINT,
        region_name=str(environments.settings()["aws_region"]),
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key="tests",
    )


def database_credentials() -> dict[str, Any]:
    """Return what the app decrypts: username, password, host, port and dbname."""
    settings = environments.settings()
    return _document("database", {"Application": settings["app_name"], "Environment": settings["environment_name"]})


def master_credentials() -> dict[str, Any]:
    """Return the username and the password of the database's master user, which no host can decrypt."""
    settings = environments.settings()
    return _document("database-master", {"Database": f"{settings['app_name']}-{settings['environment_name']}"})


def _document(name: str, context: dict[str, str]) -> dict[str, Any]:
    settings = environments.settings()
    path = f"/outport/{settings['environment_name']}/{settings['app_name']}/{name}"
    ciphertext = client("ssm").get_parameter(Name=path)["Parameter"]["Value"]
    plain = client("kms").decrypt(CiphertextBlob=base64.b64decode(ciphertext), EncryptionContext=context)["Plaintext"]
    return json.loads(plain)


def database_url(schema: str) -> str:
    """Return SQLAlchemy's URL of a schema, as the master user, by address, because only the hosts can resolve the server's name."""
    found = master_credentials()
    server = f"{Status.read().databases[0].address}:{database_credentials()['port']}"
    options = f"ssl_ca={certificates.CA}&ssl_check_hostname=false"
    return f"mysql+pymysql://{quote(found['username'])}:{quote(found['password'], safe='')}@{server}/{schema}?{options}"
