"""playbooks/teardown.yml against the AWS API of the lab: what it removes, what it keeps, and what it does not touch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.account import Account, serve
from support.resources import create_another_stack, names

CONFIRMED = ("-e", "confirm=lab")
# Of the environment, what the account has after a teardown that keeps data.
KEPT = {
    "bucket listings-lab-backups-123456789012",
    "key alias/listings-lab",
    "parameter /outport/lab/listings/database",
    "parameter /outport/lab/listings/database-master",
    "snapshot listings-lab-backup-1",
}


def add_data(account: Account) -> None:
    """Add a dump, a snapshot and logs, as the hosts of the environment would."""
    snapshot = {"DBInstanceIdentifier": "listings-lab", "DBSnapshotIdentifier": "listings-lab-backup-1"}
    account.client("rds").create_db_snapshot(**snapshot)
    account.client("s3").put_object(Bucket="listings-lab-backups-123456789012", Key="dumps/1", Body=b"1")
    account.client("logs").create_log_group(logGroupName="/outport/lab/listings/nginx")


def of_environment(found: set[str]) -> set[str]:
    """Return those of the environment, with the date of a final snapshot replaced."""
    return {re.sub(r"final-\d{8}-\d{6}$", "final", name) for name in found}


class Torn:
    """An account after two runs: one that keeps data, and one that deletes them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        add_data(account)
        self.provisioned = names(account)
        create_another_stack(account)
        self.neighbours = names(account) - self.provisioned
        self.kept = account.play("teardown", *CONFIRMED)
        self.after_keeping = names(account)
        self.deleted = account.play("teardown", *CONFIRMED, "-e", "teardown_data=delete")
        self.after_deleting = names(account)


@pytest.fixture(scope="module")
def torn(account: Account) -> Torn:
    """Tear the environment down, next to another one."""
    if not account.client("rds").describe_db_instances()["DBInstances"]:
        account.provision()
    return Torn(account)


def test_the_plan_has_everything_that_the_run_removes(torn: Torn) -> None:
    code, output = torn.kept
    assert code == 0, output[-6000:]
    plan = output[output.index("TASK [Show the plan]") : output.index("TASK [Check that AWS can remove it]")]
    removed = torn.provisioned - torn.after_keeping
    # Named by the VPC, the database or the role that they belong to.
    parts = (
        "subnet ",
        "gateway ",
        "route table ",
        "security group ",
        "subnet group ",
        "parameter group ",
        "policy ",
        "profile ",
        "VPC ",
    )
    missing = [name for name in removed if not name.startswith(parts) and name.split(" ")[-1].rstrip(".") not in plan]
    assert missing == []
    assert "AWS account 123456789012, eu-west-1" in plan


def test_data_and_the_key_that_decrypts_them_are_kept(torn: Torn) -> None:
    assert of_environment(torn.after_keeping - torn.neighbours) == KEPT | {"snapshot listings-lab-final"}


def test_the_final_snapshot_is_the_databases(torn: Torn) -> None:
    shown = " ".join(torn.kept[1].split())
    assert re.search(r"database listings-lab REMOVED: after a final snapshot, listings-lab-final-\d{8}-\d{6}", shown)


def test_the_run_ends_with_what_is_kept(torn: Torn) -> None:
    shown = " ".join(torn.kept[1].split("TASK [Show what is kept]")[1].split())
    assert "bucket listings-lab-backups-123456789012 kept" in shown
    assert re.search(r"snapshot listings-lab-final-\d{8}-\d{6} +kept", shown)
    assert "listings-lab-media" not in shown


def test_data_are_deleted_on_request(torn: Torn) -> None:
    code, output = torn.deleted
    assert code == 0, output[-6000:]
    assert of_environment(torn.after_deleting - torn.neighbours) == set()
    assert re.search(r"KMS key listings-lab +REMOVED: in 30 days, on \d{4}-\d\d-\d\d", output)
    states = [key["KeyState"] for key in keys(torn.account) if key["Description"].endswith("of listings-lab")]
    assert states == ["PendingDeletion"]


def keys(account: Account) -> list[dict[str, Any]]:
    """Return the descriptions of all keys."""
    kms = account.client("kms")
    return [kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]]


def test_another_environment_and_another_app_are_not_touched(torn: Torn) -> None:
    for after in (torn.after_keeping, torn.after_deleting):
        assert torn.neighbours - after == set()


def protect(account: Account, protected: bool) -> None:
    """Set the database's deletion protection."""
    account.client("rds").modify_db_instance(
        DBInstanceIdentifier="listings-lab", DeletionProtection=protected, ApplyImmediately=True
    )


def refusal(account: Account, *arguments: str) -> str:
    """Run the playbook, which must fail before it changes anything, and return its output on one line."""
    before = names(account)
    code, output = account.play("teardown", *arguments)
    assert code != 0
    assert names(account) == before
    return " ".join(output.split())


@pytest.mark.soak
def test_what_is_protected_or_not_confirmed_is_refused_before_the_first_change(tmp_path: Path) -> None:
    with serve(tmp_path) as account:
        account.provision()
        assert "Expected the environment's name, lab; found 'production'" in refusal(
            account, "-e", "confirm=production"
        )
        assert "confirm with -e confirm=lab" in refusal(account)
        protect(account, True)
        found = refusal(account, *CONFIRMED)
        assert "database listings-lab REFUSED: is protected. Set database_deletion_protection to false" in found
        protect(account, False)
        ec2 = account.client("ec2")
        subnet = ec2.describe_subnets(Filters=[{"Name": "tag:Application", "Values": ["listings"]}])["Subnets"][0]
        ec2.create_network_interface(SubnetId=subnet["SubnetId"])
        assert "REFUSED: in the VPC, but not created by Outport" in refusal(account, *CONFIRMED)


@pytest.mark.soak
def test_what_was_removed_is_provisioned_again(tmp_path: Path) -> None:
    with serve(tmp_path) as account:
        account.provision()
        before = names(account)
        password = account.document("database")["password"]
        for data in ("keep", "delete"):
            code, output = account.play("teardown", *CONFIRMED, "-e", f"teardown_data={data}")
            assert code == 0, output[-6000:]
            account.provision()
            assert before - names(account) == set()
            assert (account.document("database")["password"] == password) == (data == "keep")


@pytest.mark.soak
def test_a_teardown_that_is_killed_after_any_change_is_completed_by_the_next_one(tmp_path: Path) -> None:
    with serve(tmp_path) as account:
        empty = names(account)
        account.provision()
        kills = 0
        while account.kill_after_a_change("teardown", *CONFIRMED, "-e", "teardown_data=delete"):
            kills += 1
            assert kills < 100, "a run changes what an earlier one has changed"
        assert kills > 15
        assert names(account) == empty
