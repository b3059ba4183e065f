"""The stack as the tests see it: the site from outside, its host from inside, its AWS through the API."""

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import pymysql
import pytest
import testinfra
from testinfra.host import Host

from lab import certificates, operations
from lab.layout import AWS_ENDPOINT, REGION, SSH_CONFIG
from lab.visitor import Visitor

SETTINGS = operations.settings()


@pytest.fixture(scope="session")
def site() -> Visitor:
    """The site, from outside."""
    return operations.visitor()


@pytest.fixture(scope="session")
def web() -> Host:
    """The first web host, from inside, as root."""
    address = operations.find_host("web-1").private
    return testinfra.get_host(f"ssh://{address}?sudo=true&ssh_config={SSH_CONFIG}&controlpersist=60")


@pytest.fixture(scope="session")
def aws() -> Any:
    """Makes clients of the lab's AWS: aws("s3")."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=AWS_ENDPOINT,
            region_name=REGION,
            aws_access_key_id="OUTPORTLAB",
            aws_secret_access_key="tests",
        )

    return client


@pytest.fixture(scope="session")
def secret(aws: Any) -> dict[str, Any]:
    """The database credentials in plain text, as only the app and the operator can read them."""
    name = f"/outport/{SETTINGS['environment_name']}/{SETTINGS['app_name']}/database"
    ciphertext = aws("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    context = {"Application": str(SETTINGS["app_name"]), "Environment": str(SETTINGS["environment_name"])}
    plain = aws("kms").decrypt(CiphertextBlob=base64.b64decode(ciphertext), EncryptionContext=context)["Plaintext"]
    credentials: dict[str, Any] = json.loads(plain)
    return credentials


class Database:
    """SQL on the real server, as an administrator of the database would type it."""

    def __init__(self, secret: dict[str, Any]) -> None:
        address = operations.status().databases[0].address
        self.connection = pymysql.connect(
            host=address,
            port=int(secret["port"]),
            user=secret["username"],
            password=secret["password"],
            database=secret["dbname"],
            ssl={"ca": str(certificates.CA), "check_hostname": False},
            autocommit=True,
        )

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


@pytest.fixture
def database(secret: dict[str, Any]) -> Iterator[Database]:
    """The app's database."""
    database = Database(secret)
    yield database
    database.connection.close()


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in the lab as a person does; its output is kept."""
    command = [str(operations.REPOSITORY / "bin/lab"), "play", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=operations.REPOSITORY)
