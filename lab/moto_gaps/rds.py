"""RDS: parameter groups, storage, versions, restored instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.rds.exceptions import DBParameterGroupNotFoundError
from moto.rds.models import DBInstance, DBParameterGroup, RDSBackend

from lab.moto_gaps.patches import gap, wrap


@gap
def list_mysql_parameters() -> None:
    """A new parameter group of moto is empty; on AWS it lists the engine's parameters with their types."""
    types = {
        "require_secure_transport": "boolean",
        "log_bin_trust_function_creators": "boolean",
        "character_set_server": "string",
        "collation_server": "string",
        "time_zone": "string",
        "sql_mode": "list",
        "max_connections": "integer",
        "slow_query_log": "boolean",
        "long_query_time": "float",
        "wait_timeout": "integer",
    }

    @wrap(DBParameterGroup, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for name, kind in types.items():
            self.parameters[name] = {
                "ParameterName": name,
                "DataType": kind,
                "IsModifiable": True,
                "Source": "engine-default",
                "ApplyType": "dynamic",
            }


@gap
def report_missing_parameter_groups() -> None:
    """moto returns an empty list for a parameter group that does not exist, AWS an error."""

    @wrap(RDSBackend, "describe_db_parameter_groups")
    def describe(original: Callable[..., Any], self: Any, kwargs: dict[str, Any]) -> Any:
        groups = original(self, kwargs)
        name = kwargs.get("db_parameter_group_name")
        if name and not groups:
            raise DBParameterGroupNotFoundError(name)
        return groups


@gap
def report_the_gp3_baseline() -> None:
    """AWS reports the baseline of gp3 storage; moto reports nothing, and rds_instance fails on its second run."""

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if getattr(self, "storage_type", None) == "gp3":
            large = int(self.allocated_storage) >= 400
            self.iops = self.iops or (12000 if large else 3000)
            self.storage_throughput = self.storage_throughput or (500 if large else 125)


@gap
def report_minor_versions() -> None:
    """For MySQL 8.4, AWS creates and reports 8.4.x; moto reports 8.4, which hides that a playbook changes it in each run."""

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.engine == "mysql" and str(self.engine_version).count(".") == 1:
            self.engine_version = f"{self.engine_version}.7"


@gap
def restore_without_deletion_protection() -> None:
    """A restored instance in moto inherits deletion protection; on AWS it has the request's, or none."""

    @wrap(RDSBackend, "restore_db_instance_from_db_snapshot")
    def restore(original: Callable[..., Any], self: Any, snapshot: str, overrides: dict[str, Any]) -> Any:
        instance = original(self, snapshot, overrides)
        instance.deletion_protection = bool(overrides.get("deletion_protection"))
        return instance
