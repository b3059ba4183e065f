"""Fixes of differences between moto, the lab's AWS API, and AWS itself.

The playbooks are written for AWS. Where moto behaves differently, it is patched here, in its own process,
before its server starts: `close_gaps()`. One function per difference; tests/test_moto_gaps.py has a test for each.
moto reads MOTO_AMIS_PATH (lab/amis.json) when it is imported: set it before importing this.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from functools import cache, wraps
from inspect import signature
from typing import Any

import moto
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.models.table import Table
from moto.ec2 import utils
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.iam.access_control import IAMPolicy
from moto.kms.models import KmsBackend
from moto.rds.exceptions import DBParameterGroupNotFoundError
from moto.rds.models import DBInstance, DBParameterGroup, RDSBackend
from moto.s3.models import FakeBucket
from moto.ssm.exceptions import ValidationException
from moto.ssm.models import SimpleSystemManagerBackend

from lab.layout import PUBLIC

MOTO_VERSION = "5.2.5"
FIRST_PUBLIC = 10

# Serializes the search for a free address.
_address_lock = threading.RLock()


@cache
def close_gaps() -> None:
    """Patch moto in this process, once. Raises RuntimeError when moto is not the version that this was written for."""
    if moto.__version__ != MOTO_VERSION:
        raise RuntimeError(
            f"lab/moto_gaps.py patches moto {MOTO_VERSION}, found {moto.__version__}. "
            f"Install {MOTO_VERSION}, or review the patches with tests/test_moto_gaps.py and change MOTO_VERSION."
        )
    for close in GAPS:
        close()


def wrap(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Decorator: replace `owner.name` with a function that gets the original as its first argument."""
    original = getattr(owner, name)

    def install(function: Callable[..., Any]) -> None:
        @wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(owner, name, replacement)

    return install


# EC2


def use_the_tag_type_of_elastic_ips() -> None:
    """moto tags an Elastic IP as `vpc-elastic-ip`, AWS as `elastic-ip`: ec2_eip would change the tags each time."""
    utils.EC2_PREFIX_TO_RESOURCE["eipalloc"] = "elastic-ip"


def free_public_address() -> str:
    """Return the lowest free public address of the lab."""
    taken: set[str | None] = set()
    for regions in ec2_backends.values():
        for backend in regions.values():
            taken |= {address.public_ip for address in backend.addresses}
            taken |= {interface.public_ip for interface in backend.enis.values()}
    for address in list(PUBLIC.hosts())[FIRST_PUBLIC - 1 :]:
        if str(address) not in taken:
            return str(address)
    raise RuntimeError(f"All public addresses of the lab ({PUBLIC}) are in use")


def allocate_reachable_addresses() -> None:
    """moto invents public addresses; those of the lab's hosts must be reachable."""

    @wrap(ElasticAddressBackend, "allocate_address")
    def allocate(
        original: Callable[..., Any], self: Any, domain: str, address: str | None = None, tags: Any = None
    ) -> Any:
        with _address_lock:
            return original(self, domain, address=address or free_public_address(), tags=tags)

    @wrap(NetworkInterface, "check_auto_public_ip")
    def assign(original: Callable[..., Any], self: Any) -> None:
        with _address_lock:
            elastic = elastic_address(self)
            if elastic:
                self.public_ip = elastic
                return
            original(self)
            if self.public_ip:
                self.public_ip = None
                self.public_ip = free_public_address()

    @wrap(NetworkInterface, "stop")
    def stop(original: Callable[..., Any], self: Any) -> None:
        if not elastic_address(self):
            original(self)


def elastic_address(interface: Any) -> str | None:
    """Return the Elastic IP of a network interface, which it keeps when its instance stops and starts; moto replaces it."""
    for address in interface.ec2_backend.addresses:
        if interface in (address.eni, *(address.instance.nics.values() if address.instance else ())):
            return address.public_ip
    return None


def free_addresses_of_terminated_instances() -> None:
    """AWS disassociates an Elastic IP when its instance is terminated; moto does not."""

    @wrap(Instance, "terminate")
    def terminate(original: Callable[..., Any], self: Any) -> Any:
        for address in self.ec2_backend.addresses:
            if address.instance is self:
                self.ec2_backend.disassociate_address(address=address.public_ip)
        return original(self)


# RDS


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


def report_missing_parameter_groups() -> None:
    """moto returns an empty list for a parameter group that does not exist, AWS an error."""

    @wrap(RDSBackend, "describe_db_parameter_groups")
    def describe(original: Callable[..., Any], self: Any, kwargs: dict[str, Any]) -> Any:
        groups = original(self, kwargs)
        name = kwargs.get("db_parameter_group_name")
        if name and not groups:
            raise DBParameterGroupNotFoundError(name)
        return groups


def report_the_gp3_baseline() -> None:
    """AWS reports the baseline of gp3 storage; moto reports nothing, and rds_instance fails on its second run."""

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if getattr(self, "storage_type", None) == "gp3":
            large = int(self.allocated_storage) >= 400
            self.iops = self.iops or (12000 if large else 3000)
            self.storage_throughput = self.storage_throughput or (500 if large else 125)


def report_minor_versions() -> None:
    """For MySQL 8.4, AWS creates and reports 8.4.x; moto reports 8.4, which hides that a playbook changes it in each run."""

    @wrap(DBInstance, "__init__")
    def make(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.engine == "mysql" and str(self.engine_version).count(".") == 1:
            self.engine_version = f"{self.engine_version}.7"


def restore_without_deletion_protection() -> None:
    """A restored instance in moto inherits deletion protection; on AWS it has the request's, or none."""

    @wrap(RDSBackend, "restore_db_instance_from_db_snapshot")
    def restore(original: Callable[..., Any], self: Any, snapshot: str, overrides: dict[str, Any]) -> Any:
        instance = original(self, snapshot, overrides)
        instance.deletion_protection = bool(overrides.get("deletion_protection"))
        return instance


# KMS


def accept_key_arns() -> None:
    """DisableKey, EnableKey and the deletion calls accept an ARN on AWS; moto returns 500."""
    for name in ("disable_key", "enable_key", "cancel_key_deletion", "schedule_key_deletion"):

        @wrap(KmsBackend, name)
        def call(original: Callable[..., Any], self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
            return original(self, self.get_key_id(key_id), *args, **kwargs)


def reject_disabled_keys() -> None:
    """A key that is disabled or pending deletion still encrypts and decrypts in moto."""

    def require_enabled(backend: Any, key_id: str) -> None:
        key = backend.keys[backend.any_id_to_key_id(key_id)]
        if key.key_state == "Disabled":
            raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
        if key.key_state != "Enabled":
            raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")

    @wrap(KmsBackend, "encrypt")
    def encrypt(original: Callable[..., Any], self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
        require_enabled(self, key_id)
        return original(self, key_id, *args, **kwargs)

    @wrap(KmsBackend, "decrypt")
    def decrypt(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        plaintext, arn = original(self, *args, **kwargs)
        require_enabled(self, arn)
        return plaintext, arn


# SSM


def reject_large_parameters() -> None:
    """A standard parameter has at most 4,096 characters; moto stores any number."""

    @wrap(SimpleSystemManagerBackend, "put_parameter")
    def put(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature(original).bind(self, *args, **kwargs).arguments
        if len(given["value"]) > 4096 and given["tier"] in (None, "Standard"):
            raise ValidationException("Standard tier parameters support a maximum parameter value of 4096 characters.")
        return original(self, *args, **kwargs)


# S3


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


# DynamoDB


def report_table_ids() -> None:
    """AWS reports the id of a table; moto does not, and dynamodb_table fails."""

    @wrap(Table, "describe")
    def describe(original: Callable[..., Any], self: Any, base_key: str = "TableDescription") -> Any:
        found = original(self, base_key)
        found[base_key]["TableId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.table_arn} {self.created_at}"))
        return found


GAPS: list[Callable[[], None]] = [
    use_the_tag_type_of_elastic_ips,
    allocate_reachable_addresses,
    free_addresses_of_terminated_instances,
    list_mysql_parameters,
    report_missing_parameter_groups,
    report_the_gp3_baseline,
    report_minor_versions,
    restore_without_deletion_protection,
    accept_key_arns,
    reject_disabled_keys,
    reject_large_parameters,
    evaluate_bucket_policy_conditions,
    report_table_ids,
]
