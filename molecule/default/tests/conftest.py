"""The stack as the tests see it: the site from outside, its host from inside, its AWS through the API."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
import testinfra
from testinfra.host import Host

from lab import certificates, login, operations
from lab.layout import SSH_CONFIG
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
    return login.client


@pytest.fixture(scope="session")
def secret() -> dict[str, Any]:
    """The database credentials in plain text, as only the app and the operator can read them."""
    return login.database_credentials()


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
