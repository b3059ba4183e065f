"""Deletion as AWS does it: what something else still uses is kept, and a database is deleted for minutes."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.moto import client, create_database

from lab.moto_gaps import deletion


@pytest.fixture
def network() -> dict[str, str]:
    """Create a VPC with two subnets, a gateway and two security groups, of which the second one names the first; return their ids."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    first, second = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in ((1, "a"), (2, "b"))
    )
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    web, database = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("web", "database")
    )
    source = {"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "UserIdGroupPairs": [{"GroupId": web}]}
    ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[source])
    return {"vpc": vpc, "subnet": first, "other": second, "gateway": gateway, "web": web, "database": database}


def launch(network: dict[str, str]) -> str:
    """Launch an instance with an Elastic IP in the network; return its id."""
    ec2 = client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    created = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, SubnetId=network["subnet"], SecurityGroupIds=[network["web"]]
    )
    instance = str(created["Instances"][0]["InstanceId"])
    ec2.associate_address(InstanceId=instance, AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"])
    return instance


def create_database_in(network: dict[str, str], **options: Any) -> None:
    """Create an instance with groups of its own in the network."""
    rds = client("rds")
    subnets = [network["subnet"], network["other"]]
    rds.create_db_subnet_group(DBSubnetGroupName="shop", DBSubnetGroupDescription="shop", SubnetIds=subnets)
    rds.create_db_parameter_group(DBParameterGroupName="shop", DBParameterGroupFamily="mysql8.4", Description="shop")
    groups = {"DBSubnetGroupName": "shop", "DBParameterGroupName": "shop", "VpcSecurityGroupIds": [network["database"]]}
    create_database(**groups, **options)


def refuses(service: str, operation: str, code: str, **arguments: Any) -> None:
    """Check that an operation is refused with an error code."""
    with pytest.raises(ClientError) as refused:
        getattr(client(service), operation)(**arguments)
    assert refused.value.response["Error"]["Code"] == code


def test_a_deletion_skips_the_final_snapshot_only_when_it_says_so() -> None:
    create_database()
    refuses("rds", "delete_db_instance", "InvalidParameterCombination", DBInstanceIdentifier="shop")
    assert client("rds").describe_db_instances()["DBInstances"]


def test_a_database_is_deleted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    create_database()
    rds = client("rds")
    rds.delete_db_instance(DBInstanceIdentifier="shop", FinalDBSnapshotIdentifier="shop-final")
    assert [one["DBInstanceStatus"] for one in rds.describe_db_instances()["DBInstances"]] == ["deleting"]
    refuses("rds", "delete_db_instance", "InvalidDBInstanceState", DBInstanceIdentifier="shop", SkipFinalSnapshot=True)
    monkeypatch.setattr(deletion.time, "time", lambda now=deletion.time.time: now() + deletion.DELETION + 1)
    assert rds.describe_db_instances()["DBInstances"] == []
    assert [one["DBSnapshotIdentifier"] for one in rds.describe_db_snapshots()["DBSnapshots"]] == ["shop-final"]


def test_the_groups_of_a_database_are_kept(network: dict[str, str]) -> None:
    create_database_in(network)
    refuses("rds", "delete_db_subnet_group", "InvalidDBSubnetGroupStateFault", DBSubnetGroupName="shop")
    refuses("rds", "delete_db_parameter_group", "InvalidDBParameterGroupState", DBParameterGroupName="shop")
    refuses("ec2", "delete_security_group", "DependencyViolation", GroupId=network["database"])
    refuses("ec2", "delete_subnet", "DependencyViolation", SubnetId=network["other"])


def test_the_network_of_an_instance_is_kept(network: dict[str, str]) -> None:
    launch(network)
    refuses("ec2", "delete_security_group", "DependencyViolation", GroupId=network["web"])
    refuses("ec2", "delete_subnet", "DependencyViolation", SubnetId=network["subnet"])
    gateway = {"InternetGatewayId": network["gateway"], "VpcId": network["vpc"]}
    refuses("ec2", "detach_internet_gateway", "DependencyViolation", **gateway)
    (address,) = client("ec2").describe_addresses()["Addresses"]
    refuses("ec2", "release_address", "InvalidIPAddress.InUse", AllocationId=address["AllocationId"])


def test_a_network_without_users_is_deleted_in_the_right_order(network: dict[str, str]) -> None:
    ec2 = client("ec2")
    ec2.terminate_instances(InstanceIds=[launch(network)])
    refuses("ec2", "delete_security_group", "DependencyViolation", GroupId=network["web"])
    for name in ("database", "web"):
        ec2.delete_security_group(GroupId=network[name])
    for name in ("subnet", "other"):
        ec2.delete_subnet(SubnetId=network[name])
    refuses("ec2", "delete_vpc", "DependencyViolation", VpcId=network["vpc"])
    ec2.detach_internet_gateway(InternetGatewayId=network["gateway"], VpcId=network["vpc"])
    ec2.delete_vpc(VpcId=network["vpc"])
    (address,) = ec2.describe_addresses()["Addresses"]
    ec2.release_address(AllocationId=address["AllocationId"])
    assert ec2.describe_addresses()["Addresses"] == []


def test_a_network_with_a_security_group_is_kept() -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)
    refuses("ec2", "delete_vpc", "DependencyViolation", VpcId=vpc)
