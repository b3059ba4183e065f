"""The AWS API: moto's server in this process, and a simple view of the resources that playbooks created there."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.backends import get_backend
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance as MotoInstance
from moto.ec2.models.instances import InstanceState
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.rds.models import RDSBackend
from werkzeug.serving import BaseWSGIServer, make_server

from lab.iam.enforcement import Enforcement
from lab.layout import ACCOUNT, AWS_PORT, GATEWAY, IMAGE_SUITES, ROOT_KEY
from lab.moto_gaps import close_gaps

# Held while moto creates a resource, so that its first visible state is correct.
_creation_lock = threading.RLock()

_PENDING, _RUNNING = InstanceState("pending", 0), InstanceState("running", 16)
_STOPPING, _STOPPED = InstanceState("stopping", 64), InstanceState("stopped", 80)


@dataclass(frozen=True)
class Instance:
    """An EC2 instance: `state` in EC2's terms, `suite` of Debian, `role_arn` of its instance profile or empty."""

    id: str
    name: str
    region: str
    zone: str
    type: str
    image: str
    suite: str
    state: str
    private_address: str
    public_address: str
    public_key: str
    role_arn: str


@dataclass(frozen=True)
class RdsInstance:
    """An RDS instance: `status` in RDS's terms, `size` its class, `parameters` those in effect; only `password()` reads its password."""

    id: str
    status: str
    endpoint: str
    port: int
    user: str
    schema: str
    size: str
    parameters: dict[str, str]
    password: Callable[[], str]


@dataclass(frozen=True)
class Credentials:
    """A role session's credentials, until `expires` (UTC)."""

    access_key: str
    secret_key: str
    token: str
    expires: datetime


def serve() -> None:
    """Start the API at the lab's endpoint, in its own thread."""
    _add_transitional_states()
    server = bind(str(GATEWAY), AWS_PORT)
    threading.Thread(target=server.serve_forever, name="aws", daemon=True).start()


def bind(address: str, port: int) -> BaseWSGIServer:
    """Return a server of the API: moto, closer to AWS, behind IAM."""
    close_gaps()
    application = Enforcement(DomainDispatcherApplication(create_backend_app), ACCOUNT, ROOT_KEY)
    return make_server(address, port, application, threaded=True, request_handler=MotoRequestHandler)


def _add_transitional_states() -> None:
    """A resource is in a transitional state until this machine has followed; moto skips these states."""
    run_instances, start_instance, stop_instance = EC2Backend.run_instances, MotoInstance.start, MotoInstance.stop
    create_db_instance, modify_db_instance, reboot_db_instance = (
        RDSBackend.create_db_instance,
        RDSBackend.modify_db_instance,
        RDSBackend.reboot_db_instance,
    )

    def run_pending(self: Any, *arguments: Any, **options: Any) -> Any:
        with _creation_lock:
            reservation = run_instances(self, *arguments, **options)
            for instance in reservation.instances:
                _set_state(instance, _PENDING)
        return reservation

    def start_pending(self: Any) -> Any:
        with _creation_lock:
            if self._state.name == "stopping":
                message = f"The instance '{self.id}' is not in a state from which it can be started."
                raise EC2ClientError("IncorrectInstanceState", message)
            before = start_instance(self)
            _set_state(self, _PENDING)
        return before

    def stop_stopping(self: Any) -> Any:
        with _creation_lock:
            before = stop_instance(self)
            _set_state(self, _STOPPED if before.name == "stopped" else _STOPPING)
        return before

    def create_creating(self: Any, *arguments: Any, **options: Any) -> Any:
        with _creation_lock:
            database = create_db_instance(self, *arguments, **options)
            database.status = "creating"
        return database

    def modify_modifying(self: Any, identifier: str, options: dict[str, Any]) -> Any:
        with _creation_lock:
            size = self.describe_db_instances(identifier)[0].db_instance_class
            database = modify_db_instance(self, identifier, options)
            if database.db_instance_class != size:
                database.status = "modifying"
        return database

    def reboot_rebooting(self: Any, db_instance_identifier: str) -> Any:
        with _creation_lock:
            database = reboot_db_instance(self, db_instance_identifier)
            database.status = "rebooting"
        return database

    EC2Backend.run_instances = run_pending
    MotoInstance.start = start_pending
    MotoInstance.stop = stop_stopping
    RDSBackend.create_db_instance = create_creating
    RDSBackend.modify_db_instance = modify_modifying
    RDSBackend.reboot_db_instance = reboot_rebooting


def _set_state(instance: Any, state: InstanceState) -> None:
    instance._state.name, instance._state.code = state.name, state.code


def _regions(service: str) -> Iterator[tuple[str, Any]]:
    yield from list(get_backend(service)[ACCOUNT].items())


def _find_instance(instance_id: str) -> Any:
    for _, backend in _regions("ec2"):
        for instance in backend.all_instances():
            if instance.id == instance_id:
                return instance
    raise KeyError(instance_id)


def instances() -> list[Instance]:
    """Return every instance that was ever launched."""
    with _creation_lock:
        return [
            _instance(region, backend, found)
            for region, backend in _regions("ec2")
            for found in backend.all_instances()
        ]


def _instance(region: str, backend: Any, found: Any) -> Instance:
    key = backend.key_pairs.get(found.key_name) if found.key_name else None
    profile = backend.iam_instance_profile_associations.get(found.id)
    roles = profile.iam_instance_profile.roles if profile else []
    elastic = [address.public_ip for address in backend.addresses if address.instance_id == found.id]
    return Instance(
        id=found.id,
        name=next((tag["value"] for tag in found.get_tags() if tag["key"] == "Name"), found.id),
        region=region,
        zone=found.placement.zone,
        type=found.instance_type,
        image=found.image_id,
        suite=IMAGE_SUITES.get(found.image_id, ""),
        state=found.state,
        private_address=found.private_ip or "",
        public_address=(elastic or [found.public_ip or ""])[0],
        public_key=_text(key.material_public) if key else "",
        role_arn=roles[0].arn if roles else "",
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def set_running(instance_id: str) -> None:
    """Set a pending instance to running."""
    _set_state(_find_instance(instance_id), _RUNNING)


def set_stopped(instance_id: str) -> None:
    """Set an instance to stopped, after a shutdown of the host."""
    instance = _find_instance(instance_id)
    instance.stop()
    _set_state(instance, _STOPPED)


def databases() -> list[RdsInstance]:
    """Return every RDS instance."""
    with _creation_lock:
        return [
            RdsInstance(
                id=found.db_instance_identifier,
                status=found.status,
                endpoint=found.address,
                port=int(found.port),
                user=found.master_username,
                schema=found.db_name or "",
                size=found.db_instance_class,
                parameters=dict(found.parameters_in_effect),
                password=lambda found=found: found._master_user_password,
            )
            for _, backend in _regions("rds")
            for found in list(backend.databases.values())
        ]


def set_database_status(identifier: str, status: str) -> None:
    """Set the status of a database, such as available."""
    for _, backend in _regions("rds"):
        if identifier in backend.databases:
            backend.databases[identifier].status = status


def records() -> dict[str, list[str]]:
    """Return every A record of Route 53: name without the trailing dot to addresses."""
    found: dict[str, list[str]] = {}
    for _, backend in _regions("route53"):
        for zone in list(backend.zones.values()):
            for record in list(zone.rrsets):
                if record.type == "A" and record.records:
                    found.setdefault(record.name.rstrip("."), []).extend(record.records)
    return found


def assume_role(role_arn: str, session: str, region: str) -> Credentials:
    """Return credentials of a role, valid for an hour, as EC2 issues them to an instance."""
    role = get_backend("sts")[ACCOUNT]["aws"].assume_role(
        region_name=region, role_session_name=session, role_arn=role_arn, policy="", duration=3600, external_id=""
    )
    return Credentials(role.access_key_id, role.secret_access_key, role.session_token, role.expiration)
