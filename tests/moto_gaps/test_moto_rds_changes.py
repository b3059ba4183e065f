"""RDS as AWS changes an instance: what is pending, what is refused, and when parameters take effect."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend
from support.moto import REGION, client, create_database

from lab.moto_gaps import rds_changes


def modify(**options: Any) -> dict[str, Any]:
    """Modify the instance and return its description."""
    return client("rds").modify_db_instance(DBInstanceIdentifier="shop", **options)["DBInstance"]


def described() -> dict[str, Any]:
    """Return the description of the instance."""
    return client("rds").describe_db_instances(DBInstanceIdentifier="shop")["DBInstances"][0]


def test_a_change_waits_for_the_maintenance_window() -> None:
    create_database()
    modify(DBInstanceClass="db.t4g.small", AllocatedStorage=40, DeletionProtection=True)
    found = described()
    assert (found["DBInstanceClass"], found["AllocatedStorage"]) == ("db.t4g.micro", 20)
    assert found["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.small", "AllocatedStorage": 40}
    assert found["DeletionProtection"] is True


def test_the_current_value_cancels_a_pending_change() -> None:
    create_database()
    modify(DBInstanceClass="db.t4g.small")
    modify(DBInstanceClass="db.t4g.micro")
    assert described()["PendingModifiedValues"] == {}


def test_a_change_that_is_applied_immediately_applies_the_pending_ones() -> None:
    create_database()
    modify(DBInstanceClass="db.t4g.small")
    modify(AllocatedStorage=40, ApplyImmediately=True)
    found = described()
    assert (found["DBInstanceClass"], found["AllocatedStorage"]) == ("db.t4g.small", 40)
    assert found["PendingModifiedValues"] == {}


def test_storage_grows_by_a_tenth_at_least() -> None:
    create_database(AllocatedStorage=100)
    modify(AllocatedStorage=101, ApplyImmediately=True)
    assert described()["AllocatedStorage"] == 110


def test_storage_never_shrinks() -> None:
    create_database(AllocatedStorage=100)
    with pytest.raises(ClientError, match="cannot be less than the existing"):
        modify(AllocatedStorage=50, ApplyImmediately=True)


def test_large_gp3_storage_needs_its_iops() -> None:
    create_database(AllocatedStorage=100)
    with pytest.raises(ClientError, match="at least 12000"):
        modify(AllocatedStorage=400, ApplyImmediately=True)
    modify(AllocatedStorage=400, Iops=12000, StorageThroughput=500, ApplyImmediately=True)
    assert described()["AllocatedStorage"] == 400


def test_storage_is_optimized_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    create_database()
    modify(AllocatedStorage=40, ApplyImmediately=True)
    assert described()["DBInstanceStatus"] == "storage-optimization"
    with pytest.raises(ClientError, match="storage optimization"):
        modify(AllocatedStorage=80, ApplyImmediately=True)
    client("rds").create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="meanwhile")
    later = rds_changes.time.time() + rds_changes.OPTIMIZATION
    monkeypatch.setattr(rds_changes.time, "time", lambda: later)
    assert described()["DBInstanceStatus"] == "available"


@pytest.mark.parametrize("status", ["creating", "modifying", "backing-up"])
def test_an_instance_in_another_state_refuses_changes(status: str) -> None:
    rds = client("rds")
    create_database()
    get_backend("rds")["123456789012"][REGION].databases["shop"].status = status
    with pytest.raises(ClientError, match="not in available state"):
        modify(DeletionProtection=True)
    with pytest.raises(ClientError, match="not in available state"):
        rds.reboot_db_instance(DBInstanceIdentifier="shop")
    with pytest.raises(ClientError, match="not in available state"):
        rds.create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="nightly")


def set_parameter(name: str, value: str, method: str) -> None:
    """Change a parameter of the group of the instance."""
    change = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}
    client("rds").modify_db_parameter_group(DBParameterGroupName="shop", Parameters=[change])


def create_group() -> None:
    """Create the parameter group and an instance that uses it."""
    client("rds").create_db_parameter_group(
        DBParameterGroupName="shop", DBParameterGroupFamily="mysql8.4", Description="Shop"
    )
    create_database(DBParameterGroupName="shop")


def apply_status() -> str:
    """Return the state of the instance's parameters."""
    return described()["DBParameterGroups"][0]["ParameterApplyStatus"]


def test_a_parameter_group_lists_the_engines_parameters() -> None:
    create_group()
    set_parameter("require_secure_transport", "1", "immediate")
    listed = client("rds").describe_db_parameters(DBParameterGroupName="shop")["Parameters"]
    found = {one["ParameterName"]: one for one in listed}
    assert found["require_secure_transport"]["DataType"] == "boolean"
    assert found["require_secure_transport"]["ParameterValue"] == "1"
    assert "ParameterValue" not in found["character_set_server"]


def test_a_parameter_waits_for_a_restart_or_not() -> None:
    create_group()
    set_parameter("wait_timeout", "60", "immediate")
    assert apply_status() == "in-sync"
    set_parameter("long_query_time", "1", "pending-reboot")
    assert apply_status() == "pending-reboot"
    client("rds").reboot_db_instance(DBInstanceIdentifier="shop")
    assert apply_status() == "in-sync"


def test_a_static_parameter_is_not_applied_immediately() -> None:
    create_group()
    with pytest.raises(ClientError, match="static parameter"):
        set_parameter("performance_schema", "1", "immediate")


def test_another_parameter_group_waits_for_a_restart() -> None:
    create_database()
    client("rds").create_db_parameter_group(
        DBParameterGroupName="shop", DBParameterGroupFamily="mysql8.4", Description="Shop"
    )
    set_parameter("wait_timeout", "60", "pending-reboot")
    modify(DBParameterGroupName="shop")
    assert apply_status() == "pending-reboot"
