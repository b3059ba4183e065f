"""Deletion: AWS refuses to delete what something else still uses, and a database is deleted for minutes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance
from moto.rds.exceptions import InvalidDBInstanceStateError, InvalidParameterCombination, RDSClientError
from moto.rds.models import RDSBackend, rds_backends

from lab.moto_gaps.patches import gap, wrap

# How long a database is being deleted, seconds; on AWS some minutes.
DELETION = float(os.environ.get("OUTPORT_LAB_DELETION_SECONDS", "5"))


@gap
def require_a_decision_about_the_final_snapshot() -> None:
    """A request without the name of a final snapshot has to skip it explicitly; moto deletes the data."""

    @wrap(RDSBackend, "delete_db_instance")
    def delete(
        original: Callable[..., Any],
        self: Any,
        db_instance_identifier: str,
        final_db_snapshot_identifier: str | None = None,
        skip_final_snapshot: bool | None = False,
        **options: Any,
    ) -> Any:
        if not final_db_snapshot_identifier and not skip_final_snapshot:
            raise InvalidParameterCombination(
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
            )
        return original(self, db_instance_identifier, final_db_snapshot_identifier, skip_final_snapshot, **options)


@gap
def delete_databases_slowly() -> None:
    """A database that is being deleted exists for some minutes, and refuses a second deletion; moto's is gone at once."""
    remove: Callable[..., Any] = RDSBackend.delete_db_instance

    def remove_deleted(backend: Any) -> None:
        gone = [name for name, one in backend.databases.items() if _deleted_at(one) < time.time()]
        for name in gone:
            remove(backend, name, skip_final_snapshot=True)

    @wrap(RDSBackend, "delete_db_instance")
    def delete(original: Callable[..., Any], self: Any, db_instance_identifier: str, *args: Any, **options: Any) -> Any:
        remove_deleted(self)
        database = self.databases.get(db_instance_identifier)
        if database and _deleted_at(database) < float("inf"):
            raise InvalidDBInstanceStateError(db_instance_identifier, "delete")
        original(self, db_instance_identifier, *args, **options)
        database.status, database.deleted_at = "deleting", time.time() + DELETION
        self.databases[db_instance_identifier] = database
        return database

    for name in ("describe_db_instances", "create_db_instance", "delete_subnet_group", "delete_db_parameter_group"):
        _before(RDSBackend, name, remove_deleted)


def _deleted_at(database: Any) -> float:
    """Return the time at which a database's deletion ends; infinity for one that is not being deleted."""
    return float(getattr(database, "deleted_at", "inf"))


def _before(owner: Any, name: str, act: Callable[[Any], None]) -> None:
    @wrap(owner, name)
    def call(original: Callable[..., Any], self: Any, *args: Any, **options: Any) -> Any:
        act(self)
        return original(self, *args, **options)


@gap
def keep_the_groups_of_databases() -> None:
    """A subnet group and a parameter group can't be deleted while an instance uses them."""

    @wrap(RDSBackend, "delete_subnet_group")
    def delete_subnets(original: Callable[..., Any], self: Any, subnet_name: str) -> Any:
        if subnet_name in [group.name for group in _subnet_groups(self)]:
            message = f"Cannot delete the subnet group '{subnet_name}' because at least one database instance is still using it."
            raise RDSClientError("InvalidDBSubnetGroupStateFault", message)
        return original(self, subnet_name)

    @wrap(RDSBackend, "delete_db_parameter_group")
    def delete_parameters(original: Callable[..., Any], self: Any, db_parameter_group_name: str) -> Any:
        groups = [group.name for one in self.databases.values() for group in one.db_parameter_groups()]
        if db_parameter_group_name in groups:
            message = (
                f"One or more database instances are still members of this parameter group {db_parameter_group_name}"
            )
            raise RDSClientError("InvalidDBParameterGroupState", message)
        return original(self, db_parameter_group_name)


def _subnet_groups(backend: Any) -> list[Any]:
    """Return the subnet groups that the databases of an RDS backend use; moto has the attribute only then."""
    found = [getattr(one, "db_subnet_group", None) for one in backend.databases.values()]
    return [group for group in found if group]


def _rds(backend: Any) -> Any:
    """Return the RDS backend of an EC2 backend's account and region."""
    return rds_backends[backend.account_id][backend.region_name]


@gap
def delete_the_interfaces_of_terminated_instances() -> None:
    """The network interface that a launch created is deleted with its instance; moto keeps it."""

    @wrap(Instance, "terminate")
    def terminate(original: Callable[..., Any], self: Any) -> Any:
        interfaces = [one.id for one in self.nics.values()]
        state = original(self)
        for interface in interfaces:
            self.ec2_backend.enis.pop(interface, None)
        return state


@gap
def keep_security_groups_that_are_used() -> None:
    """A security group of an instance or a database, and one that another's rule names, can't be deleted."""

    @wrap(EC2Backend, "delete_security_group")
    def delete(original: Callable[..., Any], self: Any, name: str | None = None, group_id: str | None = None) -> Any:
        interfaces = [group.id for interface in self.enis.values() for group in interface.group_set]
        databases = [group for one in _rds(self).databases.values() for group in one.vpc_security_group_ids]
        others = [group for groups in self.groups.values() for group in groups.values() if group.id != group_id]
        rules = [
            rule.source_group.get("GroupId") for group in others for rule in (*group.ingress_rules, *group.egress_rules)
        ]
        if group_id in (*interfaces, *databases, *rules):
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        return original(self, name=name, group_id=group_id)


@gap
def keep_subnets_that_are_used() -> None:
    """A subnet with the network interface of an instance or a database can't be deleted."""

    @wrap(EC2Backend, "delete_subnet")
    def delete(original: Callable[..., Any], self: Any, subnet_id: str) -> Any:
        interfaces = [interface.subnet.id for interface in self.enis.values()]
        databases = [subnet.id for group in _subnet_groups(_rds(self)) for subnet in group._subnets]
        if subnet_id in (*interfaces, *databases):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return original(self, subnet_id)


@gap
def keep_gateways_that_are_used() -> None:
    """A gateway can't be detached while an instance of the network has a public address."""

    @wrap(EC2Backend, "detach_internet_gateway")
    def detach(original: Callable[..., Any], self: Any, internet_gateway_id: str, vpc_id: str) -> Any:
        if any(one.subnet.vpc_id == vpc_id and one.public_ip for one in self.enis.values()):
            raise DependencyViolationError(
                f"Network {vpc_id} has some mapped public address(es). "
                "Please unmap those public address(es) before detaching the gateway."
            )
        return original(self, internet_gateway_id, vpc_id)


@gap
def keep_networks_that_are_used() -> None:
    """A VPC with a gateway or a security group of its own can't be deleted."""

    @wrap(EC2Backend, "delete_vpc")
    def delete(original: Callable[..., Any], self: Any, vpc_id: str) -> Any:
        gateways = [one for one in self.internet_gateways.values() if one.vpc and one.vpc.id == vpc_id]
        groups = [group for group in self.groups[vpc_id].values() if group.name != "default"]
        if gateways or groups:
            raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return original(self, vpc_id)


@gap
def keep_addresses_that_are_used() -> None:
    """An Elastic IP that is associated can't be released; moto disassociates it."""

    @wrap(EC2Backend, "release_address")
    def release(
        original: Callable[..., Any], self: Any, address: str | None = None, allocation_id: str | None = None
    ) -> Any:
        found = [
            one
            for one in self.addresses
            if allocation_id in (None, one.allocation_id) and address in (None, one.public_ip)
        ]
        if any(one.association_id for one in found):
            raise EC2ClientError("InvalidIPAddress.InUse", f"Address {found[0].public_ip} is in use.")
        return original(self, address=address, allocation_id=allocation_id)
