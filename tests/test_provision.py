"""playbooks/provision.yml against the AWS API of the lab: check mode on an empty account, and first runs.

The second run is tested in end_to_end/test_bare_host.py, and check mode after the first one in end_to_end/test_convergence.py.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
SERVE = (
    "import sys; from lab.moto_gaps import close_gaps; close_gaps(); from moto.server import main; main(sys.argv[1:])"
)
CONTEXT = {"Application": "listings", "Environment": "lab"}


class Account:
    """An account of the AWS API, and the playbook's output about it."""

    def __init__(self, port: int, directory: Path) -> None:
        # Without a region, which comes from the settings.
        self.environment = {key: value for key, value in os.environ.items() if "REGION" not in key} | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "ANSIBLE_INVENTORY": "inventory/lab",
        }
        self.key = directory / "id.pub"
        public = Ed25519PrivateKey.generate().public_key()
        self.key.write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))

    def provision(self, *arguments: str) -> str:
        """Run the playbook, which must succeed, and return its output."""
        command = ["ansible-playbook", "playbooks/provision.yml", "-e", f"ssh_public_key_file={self.key}", *arguments]
        return self.run(*command, errors=True)

    def run(self, program: str, *arguments: str, errors: bool = False) -> str:
        """Run one of Ansible's programs, which must succeed, and return its output, with or without stderr."""
        result = subprocess.run(
            [str(PROGRAMS / program), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
        return result.stdout + result.stderr if errors else result.stdout

    def client(self, service: str) -> Any:
        """Return a client of the AWS API."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="not-a-secret",
        )

    def credentials(self) -> dict[str, Any]:
        """Return the database's credentials, decrypted."""
        parameter = self.client("ssm").get_parameter(Name="/outport/lab/listings/database")["Parameter"]
        assert parameter["Type"] == "String"
        blob = base64.b64decode(parameter["Value"])
        return json.loads(self.client("kms").decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)["Plaintext"])


@contextmanager
def serve(directory: Path) -> Iterator[Account]:
    """Serve an empty account on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"MOTO_AMIS_PATH": str(ROOT / "lab/amis.json")}
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, "-p", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(port, server)
            yield Account(port, directory)
        finally:
            server.terminate()
            server.wait(timeout=10)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account that the playbook fills."""
    with serve(tmp_path_factory.mktemp("account")) as served:
        yield served


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server responds, for up to 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server exited"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not respond within 30 seconds")


@pytest.fixture(scope="module")
def outputs(account: Account, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Check an empty account, and in parallel provision another one. Return the outputs.

    The first one is then provisioned without a database; its output ends with the databases and parameters that it has.
    """

    def check_and_provision(account: Account) -> tuple[str, str]:
        checked = account.provision("--check", "--diff")
        aliases = {"site_aliases": ["www.listings.lab.test", "listings.example.org"]}
        output = account.provision("-e", "database=none", "-e", json.dumps(aliases))
        databases = account.client("rds").describe_db_instances()["DBInstances"]
        return checked, f"{output}{databases}{account.client('ssm').describe_parameters()['Parameters']}"

    with serve(tmp_path_factory.mktemp("empty")) as empty, ThreadPoolExecutor() as pool:
        other = pool.submit(check_and_provision, empty)
        first = account.provision("--diff", "-vvv")
        check, without = other.result()
        return {"check": check, "first": first, "without": without}


def recap(output: str, word: str) -> int:
    """Return a number of the last recap."""
    return int(re.findall(rf"^localhost .*\b{word}=(\d+)", output, re.MULTILINE)[-1])


def test_check_mode_on_an_empty_account_reports_changes(outputs: dict[str, str]) -> None:
    assert recap(outputs["check"], "changed") > 10


def test_an_app_without_a_database_gets_none(outputs: dict[str, str]) -> None:
    assert recap(outputs["without"], "changed") > 10
    assert "listings-lab: 1 web host(s)" in outputs["without"]
    assert outputs["without"].endswith("[][]")


def test_each_name_in_the_zone_gets_a_record(outputs: dict[str, str]) -> None:
    shown = " ".join(outputs["without"].split())
    assert "Name: listings.lab.test, www.listings.lab.test in the Route 53 zone lab.test. " in shown
    assert "Name: point listings.example.org at the addresses above, at your DNS provider" in shown
    assert "(item=www.listings.lab.test)" in shown
    assert "(item=listings.example.org)" not in shown


def test_the_first_run_creates_resources_and_shows_the_next_step(outputs: dict[str, str]) -> None:
    assert recap(outputs["first"], "changed") > 15
    assert "listings-lab: 1 web host(s) at 10.214.0.10" in outputs["first"]
    assert "site.yml" in outputs["first"]


def test_no_output_contains_the_password(account: Account, outputs: dict[str, str]) -> None:
    password = account.credentials()["password"]
    assert len(password) == 32
    for name, output in outputs.items():
        assert password not in output, name


def test_the_credentials_are_complete_and_bound_to_their_context(account: Account, outputs: dict[str, str]) -> None:
    credentials = account.credentials()
    assert sorted(credentials) == ["dbname", "host", "password", "port", "username"]
    assert credentials["host"].startswith("listings-lab.")
    kms = account.client("kms")
    parameter = account.client("ssm").get_parameter(Name="/outport/lab/listings/database")["Parameter"]
    with pytest.raises(kms.exceptions.ClientError):
        kms.decrypt(CiphertextBlob=base64.b64decode(parameter["Value"]), EncryptionContext={"Application": "other"})


def test_security_groups_allow_only_what_is_needed(account: Account, outputs: dict[str, str]) -> None:
    groups = {group["GroupName"]: group for group in account.client("ec2").describe_security_groups()["SecurityGroups"]}
    web, database = groups["listings-lab-web"], groups["listings-lab-database"]
    opened = {
        (rule["FromPort"], rule["ToPort"], one["CidrIp"]) for rule in web["IpPermissions"] for one in rule["IpRanges"]
    }
    assert opened == {
        (22, 22, "10.213.0.0/16"),
        (22, 22, "10.214.0.0/24"),
        (80, 80, "0.0.0.0/0"),
        (443, 443, "0.0.0.0/0"),
    }
    (rule,) = database["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (3306, 3306, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [web["GroupId"]]
    assert database["IpPermissionsEgress"] == []


def test_the_database_is_private_encrypted_and_requires_tls(account: Account, outputs: dict[str, str]) -> None:
    rds = account.client("rds")
    (found,) = rds.describe_db_instances()["DBInstances"]
    assert (found["PubliclyAccessible"], found["StorageEncrypted"], found["StorageType"]) == (False, True, "gp3")
    parameters = rds.describe_db_parameters(DBParameterGroupName="listings-lab")["Parameters"]
    values = {one["ParameterName"]: one.get("ParameterValue") for one in parameters}
    assert values["require_secure_transport"] == "1"


def test_the_host_has_imdsv2_its_image_and_its_profile(account: Account, outputs: dict[str, str]) -> None:
    (reservation,) = account.client("ec2").describe_instances()["Reservations"]
    (host,) = reservation["Instances"]
    assert host["ImageId"] == "ami-00000000000000013"
    assert host["IamInstanceProfile"]["Arn"].endswith("instance-profile/listings-lab-web")
    assert (host["MetadataOptions"]["HttpTokens"], host["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        1,
    )


def test_the_buckets_are_private_and_backups_expire(account: Account, outputs: dict[str, str]) -> None:
    s3 = account.client("s3")
    for kind in ("media", "backups"):
        bucket = f"listings-lab-{kind}-123456789012"
        blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert all(blocked.values())
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert s3.get_bucket_versioning(Bucket="listings-lab-backups-123456789012")["Status"] == "Enabled"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="listings-lab-backups-123456789012")["Rules"]
    assert rule["Expiration"]["Days"] == 7


def test_the_sites_name_resolves_to_the_host(account: Account, outputs: dict[str, str]) -> None:
    route53 = account.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    (address,) = [one for one in records if one["Type"] == "A"]
    assert address["Name"] == "listings.lab.test."
    assert address["ResourceRecords"] == [{"Value": "10.214.0.10"}]


def test_the_inventory_has_the_host_in_the_group_web(account: Account, outputs: dict[str, str]) -> None:
    inventory = json.loads(account.run("ansible-inventory", "--list"))
    assert inventory["web"]["hosts"] == ["listings-lab-web-1"]
    variables = inventory["_meta"]["hostvars"]["listings-lab-web-1"]
    assert variables["ansible_host"] == {"__ansible_unsafe": "10.214.0.10"}
    assert variables["ec2_owner_id"] == {"__ansible_unsafe": "123456789012"}
