"""Evaluation of IAM policies: actions, resources and conditions, in IAM's order: an explicit deny, then an allow, else a deny.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
"""A policy document."""


@dataclass(frozen=True)
class Permission:
    """What a call needs: an `action` such as s3:GetObject on a `resource`, an ARN or `*`.

    `context` has the condition keys in lower case, such as aws:requestedregion.
    """

    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


def allowed(permission: Permission, policies: Iterable[Policy]) -> bool:
    """Return whether the policies of a principal allow it. Raises ValueError for a condition that is not evaluated here."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in _list(policy["Statement"])
        if _applies(statement, permission)
    }
    return effects == {"Allow"}


def denied(permission: Permission, policies: Iterable[Policy], principals: Iterable[str]) -> bool:
    """Return whether a policy of the resource, such as that of a bucket, denies it to one of the principals."""
    return any(
        statement["Effect"] == "Deny" and _names(statement["Principal"], principals) and _applies(statement, permission)
        for policy in policies
        for statement in _list(policy["Statement"])
    )


def _names(stated: Any, principals: Iterable[str]) -> bool:
    patterns = [stated] if isinstance(stated, str) else [one for value in stated.values() for one in _list(value)]
    return any(_like(pattern, principal) for pattern in patterns for principal in principals)


def _applies(statement: Mapping[str, Any], permission: Permission) -> bool:
    return (
        _matches(statement, "Action", permission.action.lower(), str.lower)
        and _matches(statement, "Resource", permission.resource, str)
        and all(
            _condition(operator, key, _list(values), permission.context)
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )
    )


def _matches(statement: Mapping[str, Any], element: str, value: str, normalize: Callable[[str], str]) -> bool:
    if f"Not{element}" in statement:
        return not any(_like(normalize(pattern), value) for pattern in _list(statement[f"Not{element}"]))
    return any(_like(normalize(pattern), value) for pattern in _list(statement[element]))


def _condition(operator: str, key: str, values: list[str], context: Mapping[str, str | list[str]]) -> bool:
    """Return whether a condition holds. A key that the request does not have fulfils only negated operators and ...IfExists."""
    quantifier, _, name = operator.rpartition(":")
    name, optional = name.removesuffix("IfExists"), name.endswith("IfExists")
    found = context.get(key.lower())
    if name == "Null":
        return (found is None) == (str(values[0]).lower() == "true")
    if name not in _OPERATORS or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise ValueError(
            f"The lab does not evaluate the condition operator {operator}; it evaluates {sorted(_OPERATORS)}."
        )
    holds, negated = _OPERATORS[name]
    if found is None:
        return negated or optional or quantifier == "ForAllValues"
    results = [any(holds(str(value), one) for value in values) != negated for one in _list(found)]
    return any(results) if quantifier == "ForAnyValue" else all(results)


def _in_network(network: str, address: str) -> bool:
    return ip_address(address) in ip_network(network)


def _like(pattern: str, value: str) -> bool:
    return pattern == "*" or bool(_compiled(pattern).fullmatch(value))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wildcards = {"*": ".*", "?": "."}
    return re.compile(
        "".join(wildcards.get(part) or re.escape(part) for part in re.split(r"([*?])", pattern)), re.DOTALL
    )


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (str.__eq__, False),
    "StringNotEquals": (str.__eq__, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnLike": (_like, False),
    "ArnNotLike": (_like, True),
    "Bool": (lambda wanted, found: wanted.lower() == found.lower(), False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
}
"""Operators by name: a function of the policy's value and the request's, and whether its result is negated."""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
