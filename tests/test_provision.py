"""playbooks/provision.yml against the AWS API of the lab: check mode on an empty account, first and second runs.

Check mode after the first run is tested in end_to_end/test_convergence.py.
"""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.account import MASTER_CONTEXT, Account, serve

CHANGES = [
    *("-e", "database_instance_class=db.t4g.small", "-e", "database_storage_gb=40"),
    *("-e", "web_instance_type=t3.medium"),
]


@pytest.fixture(scope="module")
def outputs(account: Account, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Check an empty account, and in parallel provision another one. Return the outputs.

    The first one is then provisioned without a database, in a region without a zone b; its output ends with the databases
    and parameters that it has, and the names and zones of its subnets.
    """

    def check_and_provision(account: Account) -> tuple[str, str]:
        checked = account.provision("--check", "--diff")
        aliases = {"site_aliases": ["www.listings.lab.test", "listings.example.org"]}
        region = "ap-northeast-1"
        account.move_to(region, tmp_path_factory.mktemp("inventory"))
        output = account.provision("-e", "database=none", "-e", json.dumps(aliases))
        databases = account.client("rds", region).describe_db_instances()["DBInstances"]
        parameters = account.client("ssm", region).describe_parameters()["Parameters"]
        ours = [{"Name": "tag:ManagedBy", "Values": ["outport"]}]
        subnets = account.client("ec2", region).describe_subnets(Filters=ours)["Subnets"]
        zones = {
            next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "Name"): one["AvailabilityZone"]
            for one in subnets
        }
        return checked, f"{output}{databases}{parameters}{json.dumps(zones, sort_keys=True)}"

    with serve(tmp_path_factory.mktemp("empty")) as empty, ThreadPoolExecutor() as pool:
        other = pool.submit(check_and_provision, empty)
        first = account.provision("--diff", "-vvv")
        check, without = other.result()
        return {"check": check, "first": first, "without": without}


@pytest.fixture(scope="module")
def later(account: Account, outputs: dict[str, str]) -> str:
    """Change the database's class and storage, and the type of the host, but not now what interrupts. Return the output.

    The storage waits for the maintenance window already, as somebody requested it in the console.
    """
    account.client("rds").modify_db_instance(DBInstanceIdentifier="listings-lab", AllocatedStorage=40)
    return account.provision(*CHANGES, "-e", "interruptions=later", "--diff", "-vvv")


def recap(output: str, word: str) -> int:
    """Return a number of the last recap."""
    return int(re.findall(rf"^localhost .*\b{word}=(\d+)", output, re.MULTILINE)[-1])


def test_check_mode_on_an_empty_account_reports_changes(outputs: dict[str, str]) -> None:
    assert recap(outputs["check"], "changed") > 10


def test_an_app_without_a_database_gets_none(outputs: dict[str, str]) -> None:
    assert recap(outputs["without"], "changed") > 10
    assert "listings-lab: 1 web host(s)" in outputs["without"]
    assert "\n[][]{" in outputs["without"]


def test_subnets_are_in_the_first_two_zones_that_the_region_has(outputs: dict[str, str]) -> None:
    zones = json.loads(outputs["without"].splitlines()[-1].removeprefix("[][]"))
    assert zones == {
        "listings-lab-database-1": "ap-northeast-1a",
        "listings-lab-database-2": "ap-northeast-1c",
        "listings-lab-public-1": "ap-northeast-1a",
        "listings-lab-public-2": "ap-northeast-1c",
    }


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


def test_no_output_contains_a_password(account: Account, outputs: dict[str, str], later: str) -> None:
    passwords = {
        account.document("database")["password"],
        account.document("database-master", MASTER_CONTEXT)["password"],
    }
    assert [len(password) for password in passwords] == [32, 32]
    for name, output in (outputs | {"later": later}).items():
        for password in passwords:
            assert password not in output, name


def test_the_credentials_are_complete_and_bound_to_their_context(account: Account, outputs: dict[str, str]) -> None:
    credentials = account.document("database")
    assert sorted(credentials) == ["dbname", "host", "password", "port", "username"]
    assert (credentials["username"], credentials["dbname"]) == ("listings_app", "listings")
    assert sorted(account.document("database-master", MASTER_CONTEXT)) == ["password", "username"]
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
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 7
        assert rule.get("Expiration", {}).get("Days") == {"media": None, "backups": 7}[kind]


def test_the_logs_are_kept_for_the_time_of_the_settings(account: Account, outputs: dict[str, str]) -> None:
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix="/outport/lab/listings/")["logGroups"]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        "/outport/lab/listings/nginx-access": 30,
        "/outport/lab/listings/nginx-error": 30,
    }


def test_the_sites_name_resolves_to_the_host(account: Account, outputs: dict[str, str]) -> None:
    route53 = account.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    (address,) = [one for one in records if one["Type"] == "A"]
    assert address["Name"] == "listings.lab.test."
    assert address["ResourceRecords"] == [{"Value": "10.214.0.10"}]


@pytest.mark.parametrize("different", [{"Application": "shop"}, {"Environment": "staging"}, {"ManagedBy": "hand"}])
def test_the_inventory_has_no_host_of_another_stack(
    account: Account, outputs: dict[str, str], different: dict[str, str]
) -> None:
    tags = {"ManagedBy": "outport", "Application": "listings", "Environment": "lab", "Role": "web", "Name": "other"}
    specification = {
        "ResourceType": "instance",
        "Tags": [{"Key": key, "Value": value} for key, value in (tags | different).items()],
    }
    ec2 = account.client("ec2")
    (host,) = ec2.run_instances(
        ImageId="ami-00000000000000013", MinCount=1, MaxCount=1, TagSpecifications=[specification]
    )["Instances"]
    try:
        assert account.inventory()["web"]["hosts"] == ["listings-lab-web-1"]
    finally:
        ec2.terminate_instances(InstanceIds=[host["InstanceId"]])


def test_the_inventory_has_the_host_in_the_group_web(account: Account, outputs: dict[str, str]) -> None:
    inventory = account.inventory()
    assert inventory["web"]["hosts"] == ["listings-lab-web-1"]
    variables = inventory["_meta"]["hostvars"]["listings-lab-web-1"]
    assert variables["ansible_host"] == {"__ansible_unsafe": "10.214.0.10"}
    assert variables["ec2_owner_id"] == {"__ansible_unsafe": "123456789012"}


def test_a_change_that_interrupts_asks_first(account: Account, outputs: dict[str, str]) -> None:
    ec2 = account.client("ec2")
    tags = {
        "ManagedBy": "outport",
        "Application": "listings",
        "Environment": "lab",
        "Role": "web",
        "Name": "listings-lab-web-9",
    }
    named = [{"ResourceType": "elastic-ip", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
    former = ec2.allocate_address(Domain="vpc", TagSpecifications=named)["AllocationId"]
    try:
        code, output = account.play("provision", *CHANGES)
    finally:
        ec2.release_address(AllocationId=former)
    assert code != 0
    assert "RESTART: class db.t4g.micro → db.t4g.small" in output
    assert "Run again with -e interruptions=now" in " ".join(output.split())
    assert "no host has it (it was of listings-lab-web-9), and AWS bills it" in " ".join(output.split())
    assert recap(output, "changed") == 0


def test_a_change_that_aws_refuses_is_refused_first(account: Account, outputs: dict[str, str]) -> None:
    code, output = account.play("provision", "-e", "web_instance_type=t4g.small", "-e", "interruptions=now")
    assert code != 0
    assert "it runs arm64, and the host's image is x86_64" in " ".join(output.split())
    assert recap(output, "changed") == 0


def test_later_applies_what_interrupts_nothing(account: Account, later: str) -> None:
    """The second run changes nothing besides."""
    (database,) = account.client("rds").describe_db_instances()["DBInstances"]
    assert (database["DBInstanceClass"], database["AllocatedStorage"]) == ("db.t4g.micro", 40)
    assert database["PendingModifiedValues"] == {}
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    (reservation,) = account.client("ec2").describe_instances(Filters=running)["Reservations"]
    assert [host["InstanceType"] for host in reservation["Instances"]] == ["t3.small"]
    assert recap(later, "changed") == 1


@pytest.mark.soak
def test_a_run_that_is_killed_after_any_change_is_completed_by_the_next_one(tmp_path: Path) -> None:
    """Each run repeats what the killed ones have done, and is killed at the first change that they have not."""
    with serve(tmp_path) as account:
        kills = 0
        while account.kill_after_a_change("provision"):
            kills += 1
            assert kills < 100, "a run changes what an earlier one has changed"
        assert kills > 20
        assert recap(account.provision(), "changed") == 0
