"""Evaluation of IAM policies in the lab."""

from __future__ import annotations

from typing import Any

import pytest

from lab.iam.policies import Permission, allowed, denied

READ = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::shop-media/*"}
OBJECT = "arn:aws:s3:::shop-media/a/b.jpg"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:GetObject", OBJECT, True),
        ("S3:getobject", OBJECT, True),
        ("s3:PutObject", OBJECT, False),
        ("s3:GetObject", "arn:aws:s3:::shop-backups/a", False),
        ("s3:GetObject", "arn:aws:s3:::shop-media", False),
        ("s3:GetObject", "*", False),
    ],
)
def test_an_allow_is_for_its_actions_and_resources(action: str, resource: str, expected: bool) -> None:
    assert allowed(Permission(action, resource), [policy(READ)]) is expected


def test_an_explicit_deny_outranks_an_allow() -> None:
    deny = {"Effect": "Deny", "NotAction": "s3:Put*", "Resource": "*"}
    assert not allowed(Permission("s3:GetObject", OBJECT), [policy(READ), policy(deny)])


def test_without_a_policy_nothing_is_allowed() -> None:
    assert not allowed(Permission("s3:GetObject", OBJECT), [])


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        (
            {"StringEquals": {"kms:EncryptionContext:Application": "shop"}},
            {"kms:encryptioncontext:application": "shop"},
            True,
        ),
        (
            {"StringEquals": {"kms:EncryptionContext:Application": "shop"}},
            {"kms:encryptioncontext:application": "Shop"},
            False,
        ),
        ({"StringEquals": {"kms:EncryptionContext:Application": "shop"}}, {}, False),
        ({"StringEquals": {"a": "1", "b": "2"}}, {"a": "1"}, False),
        ({"StringEqualsIfExists": {"a": "1"}}, {}, True),
        ({"StringNotEquals": {"a": "1"}}, {}, True),
        ({"StringNotEquals": {"a": ["1", "2"]}}, {"a": "2"}, False),
        ({"StringLike": {"a": ["x*", "y?"]}}, {"a": "y1"}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "true"}, False),
        ({"Null": {"ec2:CreateAction": "false"}}, {"ec2:createaction": "RunInstances"}, True),
        ({"Null": {"ec2:CreateAction": "false"}}, {}, False),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "203.0.113.7/32"]}}, {"aws:sourceip": "10.1.2.3"}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, False),
        (
            {"ForAllValues:StringLike": {"names": ["*.example.com"]}},
            {"names": ["a.example.com", "b.example.org"]},
            False,
        ),
        ({"ForAllValues:StringLike": {"names": ["*.example.com"]}}, {}, True),
        ({"ForAnyValue:StringLike": {"names": ["*.example.com"]}}, {"names": ["a.example.com", "b.example.org"]}, True),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, Any], expected: bool) -> None:
    statement = READ | {"Condition": condition}
    assert allowed(Permission("s3:GetObject", OBJECT, context), [policy(statement)]) is expected


def test_an_unknown_operator_is_an_error() -> None:
    statement = READ | {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}}
    with pytest.raises(ValueError, match="DateGreaterThan"):
        allowed(Permission("s3:GetObject", OBJECT, {"aws:currenttime": "x"}), [policy(statement)])


@pytest.mark.parametrize(
    ("principal", "secure", "expected"),
    [("*", "false", True), ("*", "true", False), ({"AWS": "arn:aws:iam::1:user/other"}, "false", False)],
)
def test_a_buckets_policy_denies(principal: Any, secure: str, expected: bool) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": principal,
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::shop-media", "arn:aws:s3:::shop-media/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    permission = Permission("s3:GetObject", OBJECT, {"aws:securetransport": secure})
    assert denied(permission, [policy(deny)], ["arn:aws:iam::1:user/operator"]) is expected
