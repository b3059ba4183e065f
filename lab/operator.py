"""The operator: a user of the account whose permissions are those that the documentation asks for (bin/policies)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab import aws, environments
from lab.commands import run
from lab.layout import OVERRIDES, REPOSITORY, ROOT_KEY, STATE

_STORED = STATE / "operator.json"
_POLICIES = STATE / "policies"
NAME = "operator"


def credentials() -> tuple[str, str]:
    """Return the operator's access key and its secret; those of the account's root user before `create`."""
    if not _STORED.exists():
        return ROOT_KEY, "no-secret-of-any-account"
    key, secret = json.loads(_STORED.read_text())
    return key, secret


def create() -> None:
    """Create the operator's user, or update its policies to the environment's settings."""
    options = ["-i", OVERRIDES, "-e", f"policies_directory={_POLICIES}"]
    run([REPOSITORY / "bin/policies", environments.current(), *options])
    iam = aws.client("iam")
    if not _STORED.exists():
        _STORED.write_text(json.dumps(create_user(iam)))
    attach_policies(iam, _POLICIES)


def create_user(iam: Any) -> tuple[str, str]:
    """Create the user with a client of IAM; return its access key and its secret."""
    iam.create_user(UserName=NAME)
    key = iam.create_access_key(UserName=NAME)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def attach_policies(iam: Any, directory: Path) -> None:
    """Attach the policies in a directory's JSON files, instead of those that the user has."""
    for policy in iam.list_attached_user_policies(UserName=NAME)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=NAME, PolicyArn=policy["PolicyArn"])
        iam.delete_policy(PolicyArn=policy["PolicyArn"])
    for path in directory.glob("*.json"):
        document = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
        policy = iam.create_policy(PolicyName=path.stem, PolicyDocument=document)["Policy"]
        iam.attach_user_policy(UserName=NAME, PolicyArn=policy["Arn"])
