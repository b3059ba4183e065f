"""EC2 as AWS answers: addresses."""

from contextlib import nullcontext
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.moto import client


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


@pytest.mark.parametrize(("kind", "taken"), [("ssh-ed25519", True), ("ecdsa-sha2-nistp256", False)])
def test_a_key_pair_is_of_two_types_only(kind: str, taken: bool) -> None:
    private = Ed25519PrivateKey.generate() if taken else generate_private_key(SECP256R1())
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert line.split()[0].decode() == kind
    with nullcontext() if taken else pytest.raises(ClientError, match=r"InvalidKeyPair\.Format"):
        client("ec2").import_key_pair(KeyName="shop", PublicKeyMaterial=line)
