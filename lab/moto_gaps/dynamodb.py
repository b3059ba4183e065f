"""DynamoDB: descriptions of tables."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from moto.dynamodb.models.table import Table

from lab.moto_gaps.patches import gap, wrap


@gap
def report_table_ids() -> None:
    """AWS reports the id of a table; moto does not, and dynamodb_table fails."""

    @wrap(Table, "describe")
    def describe(original: Callable[..., Any], self: Any, base_key: str = "TableDescription") -> Any:
        found = original(self, base_key)
        found[base_key]["TableId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.table_arn} {self.created_at}"))
        return found
