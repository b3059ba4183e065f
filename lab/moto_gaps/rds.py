"""RDS: missing parameter groups, storage, versions, names, endpoints, restored instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.kms.models import kms_backends
from moto.rds.exceptions import DBParameterGroupNotFoundError, InvalidParameterValue
from moto.rds.models import DBInstance, RDSBackend
from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MYSQL

from lab.moto_gaps.patches import gap, wrap


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


@gap
def refuse_reserved_database_names() -> None:
    """A word that MySQL reserves, and the name of a schema of its own, can't be the name of the first database."""
    schemas = {"information_schema", "mysql", "performance_schema", "sys"}
    # SQLAlchemy's list has some that MySQL does not reserve any more.
    reserved = (RESERVED_WORDS_MYSQL | schemas) - {"admin", "array", "general", "member", "persist", "role", "slow"}

    @wrap(RDSBackend, "create_db_instance")
    def create(original: Callable[..., Any], self: Any, options: dict[str, Any]) -> Any:
        name = str(options.get("db_name") or "")
        if options.get("engine") == "mysql" and name.lower() in reserved:
            raise InvalidParameterValue(f"DBName {name} cannot be used.  It is a reserved word for this engine")
        return original(self, options)


@gap
def give_a_database_an_endpoint_when_it_is_available() -> None:
    """An instance that is being created has no endpoint; moto's has one at once."""
    endpoint = DBInstance.endpoint.fget
    DBInstance.endpoint = property(lambda self: None if self.status == "creating" else endpoint(self))


@gap
def grant_rds_the_use_of_the_key() -> None:
    """RDS makes a grant on the key of an encrypted instance; it has no name."""

    @wrap(RDSBackend, "create_db_instance")
    def create(original: Callable[..., Any], self: Any, options: dict[str, Any]) -> Any:
        database = original(self, options)
        if options.get("kms_key_id"):
            operations = ["Decrypt", "Encrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant", "DescribeKey"]
            kms_backends[self.account_id][self.region_name].create_grant(
                options["kms_key_id"], f"rds.{self.region_name}.amazonaws.com", operations, None, {}, None
            )
        return database
