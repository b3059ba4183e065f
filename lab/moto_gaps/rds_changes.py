"""RDS: changes of an instance and of its parameters, and when they take effect."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.rds.exceptions import InvalidDBInstanceStateError, InvalidParameterCombination, InvalidParameterValue
from moto.rds.models import DBInstance, DBParameterGroup, RDSBackend

from lab.moto_gaps.patches import gap, wrap

# Changes of these wait for the maintenance window, unless the request applies them immediately.
_WINDOWED = (
    *("db_instance_class", "engine_version", "multi_az"),
    *("allocated_storage", "storage_type", "iops", "storage_throughput"),
)
_STORAGE = {"allocated_storage", "storage_type", "iops", "storage_throughput"}
_LARGE_GP3, _LARGE_IOPS = 400, 12000
# How long storage is optimized after a change, seconds; on AWS some hours.
OPTIMIZATION = float(os.environ.get("OUTPORT_LAB_STORAGE_SECONDS", "20"))
# Default value and type of the parameters that the lab knows.
_PARAMETERS = {
    "character_set_server": ("utf8mb4", "string"),
    "collation_server": ("utf8mb4_0900_ai_ci", "string"),
    "log_bin_trust_function_creators": ("0", "boolean"),
    "long_query_time": ("10", "float"),
    "max_connections": ("", "integer"),
    "performance_schema": ("0", "boolean"),
    "require_secure_transport": ("0", "boolean"),
    "slow_query_log": ("0", "boolean"),
    "sql_mode": ("", "list"),
    "time_zone": ("+00:00", "string"),
    "wait_timeout": ("28800", "integer"),
}
_STATIC = {"performance_schema"}


def changed(database: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return those of the wanted values that the database does not have."""
    return {name: value for name, value in wanted.items() if str(value) != str(getattr(database, name))}


@gap
def keep_changes_until_the_maintenance_window() -> None:
    """Without ApplyImmediately, a change of class, storage or version is pending; moto makes it at once."""

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.pending_modified_values = {}

    @wrap(RDSBackend, "modify_db_instance")
    def modify(original: Callable[..., Any], self: Any, identifier: str, options: dict[str, Any]) -> Any:
        database = self.describe_db_instances(identifier)[0]
        options = dict(options)
        # A value that is the current one again cancels the pending change.
        requested = {name: options.pop(name) for name in _WINDOWED if options.get(name) is not None}
        pending = changed(database, {**database.pending_modified_values, **requested})
        if options.get("apply_immediately"):
            options |= pending
            pending = {}
        result = original(self, identifier, options)
        result.pending_modified_values = pending
        return result


@gap
def limit_changes_of_storage() -> None:
    """Storage grows by at least a tenth, never shrinks, and is then optimized for hours, in which it can't be changed."""
    DBInstance.db_instance_status = property(_status)

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.optimized_at = 0.0

    @wrap(RDSBackend, "modify_db_instance")
    def modify(original: Callable[..., Any], self: Any, identifier: str, options: dict[str, Any]) -> Any:
        database = self.describe_db_instances(identifier)[0]
        before = {name: getattr(database, name) for name in _STORAGE}
        requested = {name: options[name] for name in _STORAGE if options.get(name) is not None}
        if changed(database, requested):
            _check_storage(identifier, database, requested)
            size, current = int(requested.get("allocated_storage", 0)), int(before["allocated_storage"])
            if size > current:
                options = {**options, "allocated_storage": max(size, current + -(-current // 10))}
        result = original(self, identifier, options)
        if changed(result, before):
            result.optimized_at = time.time() + OPTIMIZATION
        return result


def _check_storage(identifier: str, database: Any, requested: dict[str, Any]) -> None:
    """Raise the error of AWS for storage that it refuses."""
    size, current = int(requested.get("allocated_storage", 0)), int(database.allocated_storage)
    if database.optimized_at > time.time():
        raise InvalidParameterCombination(
            f"You can't modify the storage of the DB instance {identifier} because storage optimization is in progress."
        )
    if size and size < current:
        raise InvalidParameterValue(
            f"Requested storage size ({size}) cannot be less than the existing storage size ({current})"
        )
    if size >= _LARGE_GP3 and int(requested.get("iops", database.iops)) < _LARGE_IOPS:
        raise InvalidParameterCombination(f"Iops of gp3 storage of {size} GiB must be at least {_LARGE_IOPS}")


def _status(database: Any) -> str:
    optimizing = database.status == "available" and database.optimized_at > time.time()
    return "storage-optimization" if optimizing else str(database.status)


@gap
def change_available_instances_only() -> None:
    """An instance that is in another state refuses changes, restarts and snapshots."""
    for name in ("modify_db_instance", "reboot_db_instance", "create_db_snapshot"):
        _require_available(name)


def _require_available(operation: str) -> None:
    @wrap(RDSBackend, operation)
    def act(original: Callable[..., Any], self: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
        database = self.databases.get(db_instance_identifier)
        if database and database.status != "available":
            # moto's word for the state that the message requires.
            raise InvalidDBInstanceStateError(db_instance_identifier, "stop")
        return original(self, db_instance_identifier, *args, **kwargs)


@gap
def list_the_engines_parameters() -> None:
    """A new parameter group of moto is empty; on AWS it lists the engine's parameters with their types."""

    @wrap(DBParameterGroup, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for name, (_, kind) in _PARAMETERS.items():
            self.parameters[name] = {
                "ParameterName": name,
                "DataType": kind,
                "IsModifiable": True,
                "Source": "engine-default",
                "ApplyType": "static" if name in _STATIC else "dynamic",
            }


@gap
def apply_parameters_when_requested() -> None:
    """A parameter takes effect immediately or at the next restart, as its request says; a static one never immediately."""

    @wrap(DBParameterGroup, "update_parameters")
    def update(original: Callable[..., Any], self: Any, parameters: Iterable[dict[str, Any]]) -> None:
        parameters = list(parameters)
        immediate = {one["ParameterName"] for one in parameters if one["ApplyMethod"] == "immediate"}
        if static := sorted(immediate & _STATIC):
            raise InvalidParameterCombination(f"cannot use immediate apply method for static parameter: {static}")
        original(self, parameters)
        for database in self.backend.databases.values():
            if self in database.db_parameter_groups():
                values = parameters_of(database)
                database.parameters_in_effect |= {name: values[name] for name in immediate}

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.parameters_in_effect = parameters_of(self)

    DBInstance.db_parameter_group_status_list = property(_group_status)


def parameters_of(database: Any) -> dict[str, str]:
    """Return the values in a database's parameter group, the defaults included."""
    (group,) = database.db_parameter_groups()
    return {
        name: str(group.parameters.get(name, {}).get("ParameterValue") or default)
        for name, (default, _) in _PARAMETERS.items()
    }


def _group_status(database: Any) -> list[dict[str, str]]:
    (group,) = database.db_parameter_groups()
    pending = database.parameters_in_effect != parameters_of(database)
    return [{"DBParameterGroupName": group.name, "ParameterApplyStatus": "pending-reboot" if pending else "in-sync"}]


@gap
def apply_parameters_at_a_restart() -> None:
    """A restart applies the parameters that wait for it; moto's does nothing."""
    for name in ("reboot_db_instance", "start_db_instance"):
        _restart(name)


def _restart(operation: str) -> None:
    @wrap(RDSBackend, operation)
    def act(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        database = original(self, *args, **kwargs)
        database.parameters_in_effect = parameters_of(database)
        return database
