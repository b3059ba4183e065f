"""S3: bucket policies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.iam.access_control import IAMPolicy
from moto.s3.models import FakeBucket

from lab.moto_gaps.patches import gap, wrap


@gap
def evaluate_bucket_policy_conditions() -> None:
    """moto enforces a TLS-only policy on plain HTTP; the lab's endpoint represents that of AWS, which uses TLS."""

    def applies(statement: dict[str, Any]) -> bool:
        required = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport", "true")
        return str(required).lower() == "true"

    @wrap(FakeBucket, "get_permission")
    def permission(original: Callable[..., Any], self: Any, action: str, resource: str) -> Any:
        policy = self.policy
        if policy is None:
            return original(self, action, resource)
        document = json.loads(policy.decode())
        statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        document["Statement"] = [statement for statement in statements if applies(statement)]
        return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)
