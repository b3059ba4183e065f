"""RDS as AWS answers: parameter groups and instances."""

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend
from support.moto import REGION, client, create_database


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


@pytest.mark.parametrize("name", ["order", "groups", "mysql", "GROUPS"])
def test_a_reserved_word_is_no_name_of_a_database(name: str) -> None:
    with pytest.raises(ClientError, match="reserved word"):
        create_database(DBName=name)


def test_a_database_that_is_being_created_has_no_endpoint() -> None:
    assert create_database(DBName="shop")["Endpoint"]["Port"] == 3306
    found = get_backend("rds")["123456789012"][REGION].databases["shop"]
    found.status = "creating"
    assert "Endpoint" not in client("rds").describe_db_instances()["DBInstances"][0]


def test_rds_has_a_grant_without_a_name_on_the_key() -> None:
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    create_database(StorageEncrypted=True, KmsKeyId=key)
    (grant,) = kms.list_grants(KeyId=key)["Grants"]
    assert grant["GranteePrincipal"] == "rds.eu-west-1.amazonaws.com"
    assert "Name" not in grant
