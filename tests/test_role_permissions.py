"""What IAM allows: to a web host by its role, and to an operator by the policies of bin/policies. Every call is made."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError
from parliament import analyze_policy_string
from support.account import CONTEXT, MASTER_CONTEXT, Account

REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
OWN, OTHER = "listings-lab", "shop-lab"
MEDIA, BACKUPS = (f"{OWN}-{kind}-123456789012" for kind in ("media", "backups"))
OTHER_BUCKET = f"{OTHER}-backups-123456789012"
ROLE = f"arn:aws:iam::123456789012:role/{OWN}-web"
LEASE = {"name": {"S": "primary"}}
STREAM = {"logGroupName": "/outport/lab/listings/app", "logStreamName": "web-1"}
NOBODY = "i-0123456789abcdef0"
METRIC = [{"MetricName": "requests", "Value": 1.0}]

Call = tuple[str, str, dict[str, Any]]
"""A service, a method of its client, and its arguments."""


def call(service: str, method: str, **arguments: Any) -> Call:
    """Return a call."""
    return service, method, arguments


HOST_MAY = [
    call("ssm", "get_parameter", Name="/outport/lab/listings/database"),
    call("kms", "decrypt", EncryptionContext=CONTEXT),
    call("s3", "put_object", Bucket=MEDIA, Key="photo", Body=b"1"),
    call("s3", "get_object", Bucket=MEDIA, Key="photo"),
    call("s3", "delete_object", Bucket=MEDIA, Key="photo"),
    call("s3", "put_object", Bucket=BACKUPS, Key="dumps/1", Body=b"1"),
    call("s3", "list_objects_v2", Bucket=MEDIA),
    call("dynamodb", "put_item", TableName=f"{OWN}-leases", Item=LEASE),
    call("dynamodb", "get_item", TableName=f"{OWN}-leases", Key=LEASE),
    call("dynamodb", "delete_item", TableName=f"{OWN}-leases", Key=LEASE),
    call("cloudwatch", "put_metric_data", Namespace=f"Outport/{OWN}", MetricData=METRIC),
    call("logs", "create_log_group", logGroupName=STREAM["logGroupName"]),
    call("logs", "create_log_stream", **STREAM),
    call("logs", "put_log_events", **STREAM, logEvents=[{"timestamp": 1, "message": "started"}]),
]
HOST_MUST_NOT = [
    call("ssm", "get_parameter", Name="/outport/lab/shop/database"),
    call("ssm", "get_parameter", Name="/outport/lab/listings/database-master"),
    call("ssm", "put_parameter", Name="/outport/lab/listings/database", Value="-", Type="String", Overwrite=True),
    call("kms", "decrypt", EncryptionContext={"Application": "shop", "Environment": "lab"}),
    call("kms", "decrypt", EncryptionContext=MASTER_CONTEXT),
    call("kms", "decrypt"),
    call("kms", "encrypt", KeyId=f"alias/{OWN}", Plaintext=b"1", EncryptionContext=CONTEXT),
    call("kms", "schedule_key_deletion", KeyId=f"alias/{OWN}"),
    call("s3", "get_object", Bucket=OTHER_BUCKET, Key="dumps/1"),
    call("s3", "list_objects_v2", Bucket=OTHER_BUCKET),
    call("s3", "list_buckets"),
    call("s3", "get_object", Bucket=BACKUPS, Key="dumps/1"),
    call("s3", "list_objects_v2", Bucket=BACKUPS),
    call("s3", "put_object", Bucket=BACKUPS, Key="other", Body=b"1"),
    call("s3", "delete_object", Bucket=BACKUPS, Key="dumps/1"),
    call("s3", "delete_object", Bucket=BACKUPS, Key="dumps/1", VersionId="1"),
    call("s3", "delete_objects", Bucket=BACKUPS, Delete={"Objects": [{"Key": "dumps/1"}]}),
    call("s3", "delete_object", Bucket=MEDIA, Key="photo", VersionId="1"),
    call("s3", "put_bucket_versioning", Bucket=BACKUPS, VersioningConfiguration={"Status": "Suspended"}),
    call("s3", "delete_bucket_policy", Bucket=BACKUPS),
    call("dynamodb", "get_item", TableName=f"{OTHER}-leases", Key=LEASE),
    call("dynamodb", "delete_table", TableName=f"{OWN}-leases"),
    call("cloudwatch", "put_metric_data", Namespace=f"Outport/{OTHER}", MetricData=METRIC),
    call("logs", "delete_log_group", logGroupName=STREAM["logGroupName"]),
    call("logs", "get_log_events", **STREAM),
    call("logs", "create_log_group", logGroupName="/outport/lab/shop/app"),
    call("logs", "put_retention_policy", logGroupName=STREAM["logGroupName"], retentionInDays=1),
    call("logs", "delete_retention_policy", logGroupName=STREAM["logGroupName"]),
    call("ec2", "describe_instances"),
    call("ec2", "stop_instances", InstanceIds=[NOBODY]),
    call("ec2", "terminate_instances", InstanceIds=[NOBODY]),
    call("rds", "create_db_snapshot", DBInstanceIdentifier=OWN, DBSnapshotIdentifier="1"),
    call("rds", "delete_db_snapshot", DBSnapshotIdentifier=f"{OWN}-final-1"),
    call("rds", "delete_db_instance", DBInstanceIdentifier=OWN, SkipFinalSnapshot=True),
    call("rds", "modify_db_instance", DBInstanceIdentifier=OWN, MasterUserPassword="not-a-secret"),
    call("iam", "create_access_key", UserName="operator"),
    call("iam", "attach_role_policy", RoleName=f"{OWN}-web", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    call("sts", "assume_role", RoleArn=f"arn:aws:iam::123456789012:role/{OTHER}-web", RoleSessionName="web"),
]
OPERATOR_MUST_NOT = [
    call("ec2", "terminate_instances", InstanceIds=[NOBODY]),
    call("ec2", "create_tags", Resources=[NOBODY], Tags=[{"Key": "Application", "Value": "listings"}]),
    call("ec2", "delete_key_pair", KeyName=OTHER),
    call("rds", "delete_db_instance", DBInstanceIdentifier=OTHER, SkipFinalSnapshot=True),
    call("s3", "get_object", Bucket=OTHER_BUCKET, Key="dumps/1"),
    call("s3", "delete_bucket", Bucket=OTHER_BUCKET),
    call("ssm", "get_parameter", Name="/outport/lab/shop/database"),
    call("ssm", "get_parameter", Name="/outport/lab2/listings/database"),
    call("kms", "decrypt", EncryptionContext={"Application": "shop", "Environment": "lab"}),
    call("dynamodb", "delete_table", TableName=f"{OTHER}-leases"),
    call("logs", "delete_log_group", logGroupName="/outport/lab/shop/app"),
    call("iam", "create_user", UserName="another"),
    call("iam", "attach_user_policy", UserName="operator", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    call("iam", "attach_role_policy", RoleName=f"{OWN}-web", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    call("iam", "delete_role", RoleName=f"{OTHER}-web"),
]


@pytest.fixture(scope="module")
def provisioned(account: Account) -> Iterator[Account]:
    """An account with the environment, as test_provision.py leaves it. The objects and the logs of these tests are deleted."""
    if not account.client("rds").describe_db_instances()["DBInstances"]:
        account.provision()
    yield account
    account.client("logs").delete_log_group(logGroupName=STREAM["logGroupName"])
    s3 = account.client("s3")
    for bucket in (MEDIA, BACKUPS):
        found = s3.list_object_versions(Bucket=bucket)
        for one in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


@pytest.fixture(scope="module")
def host(provisioned: Account) -> Callable[[str], Any]:
    """Return clients with the credentials of a web host's role."""
    session = provisioned.client("sts").assume_role(RoleArn=ROLE, RoleSessionName=NOBODY)["Credentials"]
    return clients(provisioned, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])


@pytest.fixture(scope="module")
def operator(provisioned: Account) -> Callable[[str], Any]:
    """Return clients with the credentials of the operator."""
    environment = provisioned.environment
    return clients(provisioned, environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], None)


def clients(account: Account, key: str, secret: str, token: str | None) -> Callable[[str], Any]:
    """Return clients by the name of the service."""
    session = boto3.Session(key, secret, token, region_name="eu-west-1")
    return lambda service: session.client(service, endpoint_url=account.environment["AWS_ENDPOINT_URL"])


def outcome(account: Account, client: Callable[[str], Any], called: Call) -> str:
    """Make a call; return the code of its error, or an empty text."""
    service, method, arguments = called
    if method == "decrypt":
        of_master = arguments.get("EncryptionContext") == MASTER_CONTEXT
        name = f"/outport/lab/listings/database{'-master' if of_master else ''}"
        value = account.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        arguments = {"CiphertextBlob": base64.b64decode(value), **arguments}
    try:
        getattr(client(service), method)(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def identify(called: Call) -> str:
    """Return a short name of a call."""
    service, method, arguments = called
    return " ".join([service, method, *(str(value) for value in arguments.values() if isinstance(value, str))])


@pytest.mark.parametrize("called", HOST_MAY, ids=identify)
def test_a_host_may(provisioned: Account, host: Callable[[str], Any], called: Call) -> None:
    assert outcome(provisioned, host, called) == ""


@pytest.mark.parametrize("called", HOST_MUST_NOT, ids=identify)
def test_a_host_must_not(provisioned: Account, host: Callable[[str], Any], called: Call) -> None:
    assert outcome(provisioned, host, called) in REFUSED


@pytest.mark.parametrize("called", OPERATOR_MUST_NOT, ids=identify)
def test_an_operator_must_not(provisioned: Account, operator: Callable[[str], Any], called: Call) -> None:
    assert outcome(provisioned, operator, called) in REFUSED


def test_an_operator_gives_a_host_the_address_of_a_dump(provisioned: Account) -> None:
    s3, name = provisioned.client("s3"), "dumps/listings/2026-01-31T02-15-00Z"
    s3.put_object(Bucket=BACKUPS, Key=f"{name}.sql.gz", Body=b"SELECT 1;")
    s3.put_object(Bucket=BACKUPS, Key=f"{name}.json", Body=json.dumps({"dump": name[-20:]}).encode())
    # Its manifest is stored last.
    s3.put_object(Bucket=BACKUPS, Key="dumps/listings/2026-02-01T02-15-00Z.sql.gz", Body=b"incomplete")
    found = provisioned.evaluate(f"lookup('database_dumps', '{BACKUPS}', region='eu-west-1')")
    assert {name: one["manifest"] for name, one in found.items()} == {name: {"dump": name[-20:]}}
    assert "X-Amz-Expires=1800" in found[name]["url"]
    with urlopen(found[name]["url"], timeout=10) as response:
        assert response.read() == b"SELECT 1;"
    with pytest.raises(HTTPError, match="403"):
        urlopen(found[name]["url"].partition("?")[0], timeout=10)


def test_an_operator_must_not_change_another_zone(provisioned: Account, operator: Callable[[str], Any]) -> None:
    record = {"Name": "shop.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "203.0.113.7"}]}
    zone = provisioned.client("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    change = call("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=batch)
    assert outcome(provisioned, operator, change) in REFUSED


def test_an_operator_must_not_launch_hosts_in_another_region(provisioned: Account) -> None:
    environment = provisioned.environment
    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
    )
    ec2 = session.client("ec2", endpoint_url=environment["AWS_ENDPOINT_URL"])
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.run_instances(ImageId="ami-00000000000000013", MinCount=1, MaxCount=1)


@pytest.mark.parametrize("key", ["", "AKIANOBODYSKEY000000"])
def test_an_unknown_key_is_refused(provisioned: Account, key: str) -> None:
    session = boto3.Session(key or "-", "not-a-secret", region_name="eu-west-1")
    kms = session.client("kms", endpoint_url=provisioned.environment["AWS_ENDPOINT_URL"])
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        kms.list_keys()


def reads_only(finding: Any) -> bool:
    """Return whether a finding is about reading all resources, or about the tags of a key that does not exist yet."""
    return finding.issue == "RESOURCE_STAR" and all(
        re.match("(Describe|Get|List)", action.partition(":")[2]) or action == "kms:TagResource"
        for action in finding.detail
    )


def test_the_policies_have_no_mistakes(provisioned: Account) -> None:
    iam = provisioned.client("iam")
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        text = json.dumps(version["PolicyVersion"]["Document"], separators=(",", ":"))
        findings = analyze_policy_string(text).findings
        assert [str(finding) for finding in findings if not reads_only(finding)] == [], policy["PolicyName"]
        # The limit of a managed policy.
        assert len(text) <= 6144
