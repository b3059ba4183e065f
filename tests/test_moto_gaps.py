"""The fixes of lab/moto_gaps.py: the responses of AWS, through boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lab import moto_gaps

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account in moto with the fixes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    moto_gaps.close_gaps()
    with mock_aws():
        yield


def client(service: str) -> Any:
    """Return a client of moto."""
    return boto3.client(service, region_name=REGION)


def launch(public: bool = False) -> dict[str, Any]:
    """Launch an instance in a new subnet, 10.9.1.0/24, and return its description."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}
    created = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, NetworkInterfaces=[interface])
    return describe(created["Instances"][0]["InstanceId"])


def describe(instance: str) -> dict[str, Any]:
    """Return an instance's description."""
    return client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def create_database(**options: Any) -> dict[str, Any]:
    """Create a MySQL instance and return its description."""
    return client("rds").create_db_instance(
        DBInstanceIdentifier="shop",
        DBInstanceClass="db.t4g.micro",
        Engine="mysql",
        MasterUsername="outport",
        MasterUserPassword="not-a-secret",
        **{"AllocatedStorage": 20, "StorageType": "gp3"} | options,
    )["DBInstance"]


def test_another_version_of_moto_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto, "__version__", "9.9.9")
    with pytest.raises(RuntimeError, match=r"patches moto 5\.2\.5, found 9\.9\.9"):
        moto_gaps.close_gaps.__wrapped__()


def test_tags_of_an_elastic_ip_are_found_by_their_type() -> None:
    ec2 = client("ec2")
    ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": [{"Key": "Name", "Value": "web"}]}]
    )
    tags = ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["elastic-ip"]}])["Tags"]
    assert [(tag["ResourceType"], tag["Value"]) for tag in tags] == [("elastic-ip", "web")]


def test_public_addresses_are_the_labs_and_unique() -> None:
    ec2 = client("ec2")
    allocated = [ec2.allocate_address(Domain="vpc")["PublicIp"] for _ in range(3)]
    assert allocated == ["10.214.0.10", "10.214.0.11", "10.214.0.12"]
    assert launch(public=True)["PublicIpAddress"] == "10.214.0.13"


def test_a_released_address_is_assigned_again() -> None:
    ec2 = client("ec2")
    first = ec2.allocate_address(Domain="vpc")
    ec2.allocate_address(Domain="vpc")
    ec2.release_address(AllocationId=first["AllocationId"])
    assert ec2.allocate_address(Domain="vpc")["PublicIp"] == first["PublicIp"]


def test_an_instance_reports_its_elastic_ip_and_an_address_of_its_subnet() -> None:
    ec2 = client("ec2")
    instance = launch()
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(InstanceId=instance["InstanceId"], AllocationId=address["AllocationId"])
    found = describe(instance["InstanceId"])
    assert found["PublicIpAddress"] == address["PublicIp"] == "10.214.0.10"
    assert found["PrivateIpAddress"].startswith("10.9.1.")


def test_an_instance_keeps_its_elastic_ip_when_it_stops_and_starts() -> None:
    ec2 = client("ec2")
    instance = launch(public=True)["InstanceId"]
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
    for action in (ec2.stop_instances, ec2.start_instances):
        action(InstanceIds=[instance])
        assert describe(instance)["PublicIpAddress"] == address["PublicIp"]


def test_an_address_is_disassociated_when_its_instance_is_terminated() -> None:
    ec2 = client("ec2")
    instance = launch()["InstanceId"]
    ec2.associate_address(InstanceId=instance, AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"])
    ec2.terminate_instances(InstanceIds=[instance])
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]


def test_a_parameter_group_lists_the_engines_parameters() -> None:
    rds = client("rds")
    rds.create_db_parameter_group(DBParameterGroupName="shop", DBParameterGroupFamily="mysql8.4", Description="Shop")
    change = {"ParameterName": "require_secure_transport", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName="shop", Parameters=[change])
    found = {one["ParameterName"]: one for one in rds.describe_db_parameters(DBParameterGroupName="shop")["Parameters"]}
    assert found["require_secure_transport"]["DataType"] == "boolean"
    assert found["require_secure_transport"]["ParameterValue"] == "1"
    assert "ParameterValue" not in found["character_set_server"]


def test_a_missing_parameter_group_is_an_error() -> None:
    with pytest.raises(ClientError, match="DBParameterGroupNotFound"):
        client("rds").describe_db_parameter_groups(DBParameterGroupName="nothing")


@pytest.mark.parametrize(("size", "iops", "throughput"), [(20, 3000, 125), (400, 12000, 500)])
def test_gp3_storage_has_its_baseline(size: int, iops: int, throughput: int) -> None:
    created = create_database(AllocatedStorage=size)
    assert (created["Iops"], created["StorageThroughput"]) == (iops, throughput)


def test_a_database_runs_a_minor_version() -> None:
    assert create_database(EngineVersion="8.4")["EngineVersion"] == "8.4.7"


def test_a_restored_database_can_be_deleted() -> None:
    rds = client("rds")
    create_database(DeletionProtection=True)
    rds.create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="before")
    restored = rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="drill", DBSnapshotIdentifier="before")
    assert restored["DBInstance"]["DeletionProtection"] is False


def test_a_key_is_disabled_by_its_arn_and_then_rejects_requests() -> None:
    kms = client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=arn, Plaintext=b"text")["CiphertextBlob"]
    kms.disable_key(KeyId=arn)
    with pytest.raises(ClientError, match="DisabledException"):
        kms.decrypt(CiphertextBlob=blob)
    with pytest.raises(ClientError, match="DisabledException"):
        kms.encrypt(KeyId=arn, Plaintext=b"text")
    kms.enable_key(KeyId=arn)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"text"
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with pytest.raises(ClientError, match="KMSInvalidStateException"):
        kms.decrypt(CiphertextBlob=blob)


def test_a_standard_parameter_has_a_largest_value() -> None:
    ssm = client("ssm")
    parameter = {"Name": "/shop/secrets", "Type": "String"}
    ssm.put_parameter(**parameter, Value="x" * 4096)
    with pytest.raises(ClientError, match="maximum parameter value of 4096 characters"):
        ssm.put_parameter(**parameter, Value="x" * 4097, Overwrite=True)
    ssm.put_parameter(**parameter, Value="x" * 4097, Overwrite=True, Tier="Advanced")


def test_a_tls_only_policy_allows_callers_and_other_denials_hold() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shop/*"}
    tls_only = statement | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket="shop", Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    s3.put_object(Bucket="shop", Key="dump", Body=b"text")
    assert s3.get_object(Bucket="shop", Key="dump")["Body"].read() == b"text"
    s3.put_bucket_policy(Bucket="shop", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with pytest.raises(ClientError, match="Forbidden"):
        s3.put_object(Bucket="shop", Key="dump", Body=b"text")


def test_a_table_has_an_id_that_stays() -> None:
    dynamodb = client("dynamodb")
    key = {"AttributeName": "name"}
    created = dynamodb.create_table(
        TableName="leases",
        KeySchema=[{**key, "KeyType": "HASH"}],
        AttributeDefinitions=[{**key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]
    assert created["TableId"] == dynamodb.describe_table(TableName="leases")["Table"]["TableId"]
