"""Reconciles this machine with what playbooks make in the imitation AWS: hosts, databases, addresses, names."""

import json
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from lab import cloud, hosts, network
from lab.cloud import Instance
from lab.databases import Database, DatabaseSpec
from lab.layout import KNOWN_HOSTS
from lab.metadata import Metadata, describe_credentials
from lab.services import Service, set_names
from lab.status import DatabaseStatus, HostStatus, Status

_ALIVE = ("pending", "running")


class Reconciler:
    """What of the cloud exists on this machine; `reconcile` takes one step towards all of it."""

    def __init__(self, dns: Service) -> None:
        self._dns = dns
        self._instances: list[Instance] = []
        self._databases: dict[str, Database] = {}
        self._numbers = 0
        self._translated: dict[str, str] = {}
        self._sessions: dict[str, cloud.Credentials] = {}

    def reconcile(self) -> None:
        """Compare and act once; cheap when nothing is to be done."""
        self._instances = cloud.instances()
        for instance in self._instances:
            _carry_on(self._reconcile_host, instance)
        _carry_on(self._reconcile_databases)
        self._reconcile_addresses()
        self._write_status()

    def _reconcile_host(self, instance: Instance) -> None:
        if instance.state in _ALIVE and instance.suite:
            if instance.state == "pending":
                if not hosts.running(instance.id):
                    _say(f"starting host {instance.id} at {instance.private_address}")
                    hosts.start(_spec(instance))
                elif hosts.reachable(instance.private_address):
                    _say(f"host {instance.id} is up")
                    cloud.now_running(instance.id)
            elif not hosts.running(instance.id) and hosts.rebooting(instance.id):
                _say(f"host {instance.id} reboots")
                hosts.start(_spec(instance))
            elif not hosts.running(instance.id):
                _say(f"host {instance.id} has stopped by itself")
                cloud.now_stopped(instance.id)
        elif instance.state == "stopped" and hosts.running(instance.id):
            _say(f"stopping host {instance.id}")
            hosts.stop(instance.id)
        elif instance.state == "terminated" and hosts.exists(instance.id):
            _say(f"removing host {instance.id}")
            hosts.destroy(instance.id)

    def _reconcile_databases(self) -> None:
        wanted = {found.id: found for found in cloud.databases()}
        for identifier, found in wanted.items():
            if identifier not in self._databases:
                self._numbers += 1
                access = (found.endpoint, found.port, found.user, found.password())
                spec = DatabaseSpec(identifier, *access, found.schema, found.trust_function_creators)
                self._databases[identifier] = Database(spec, self._numbers)
            database = self._databases[identifier]
            if found.status == "stopped":
                if database.running():
                    _say(f"stopping database {identifier}")
                    database.stop()
            elif not database.running():
                _say(f"starting database {identifier} at {database.address}")
                database.start()
                cloud.set_database_status(identifier, "creating")
            elif found.status == "creating" and database.ready():
                _say(f"database {identifier} is up")
                cloud.set_database_status(identifier, "available")
        for identifier in self._databases.keys() - wanted.keys():
            _say(f"removing database {identifier}")
            self._databases.pop(identifier).destroy()

    def _reconcile_addresses(self) -> None:
        alive = [instance for instance in self._instances if instance.state in _ALIVE and instance.suite]
        names = {
            f"ip-{i.private_address.replace('.', '-')}.{i.region}.compute.internal": [i.private_address] for i in alive
        }
        names |= {database.spec.endpoint: [str(database.address)] for database in self._databases.values()}
        names |= cloud.records()
        set_names(self._dns, names)

        public = {i.public_address: i.private_address for i in alive if i.public_address}
        if public != self._translated:
            network.translate(public)
            self._translated = public

        keys = {i.id: hosts.host_keys(i.id) for i in alive}
        lines = [
            f"{a} {key}\n" for i in alive for a in (i.private_address, i.public_address) if a for key in keys[i.id]
        ]
        text = "".join(sorted(lines))
        if not KNOWN_HOSTS.exists() or KNOWN_HOSTS.read_text() != text:
            KNOWN_HOSTS.write_text(text)

    def _write_status(self) -> None:
        hosts_now = [
            HostStatus(i.id, i.name, i.state, i.suite, i.private_address, i.public_address)
            for i in self._instances
            if i.state != "terminated"
        ]
        databases_now = [DatabaseStatus(d.spec.id, d.spec.endpoint, str(d.address)) for d in self._databases.values()]
        Status(hosts_now, databases_now, cloud.records()).write()

    def metadata(self, address: str) -> Metadata | None:
        """What the metadata service tells the host at `address`."""
        instance = next((i for i in self._instances if i.private_address == address and i.state in _ALIVE), None)
        if instance is None:
            return None
        told = {
            "meta-data/ami-id": instance.image,
            "meta-data/instance-id": instance.id,
            "meta-data/instance-type": instance.type,
            "meta-data/local-hostname": f"ip-{address.replace('.', '-')}.{instance.region}.compute.internal",
            "meta-data/local-ipv4": address,
            "meta-data/placement/availability-zone": instance.zone,
            "meta-data/placement/region": instance.region,
            "meta-data/public-keys/0/openssh-key": instance.public_key,
            "dynamic/instance-identity/document": json.dumps(
                {
                    "accountId": cloud.ACCOUNT,
                    "architecture": "x86_64",
                    "availabilityZone": instance.zone,
                    "imageId": instance.image,
                    "instanceId": instance.id,
                    "instanceType": instance.type,
                    "privateIp": address,
                    "region": instance.region,
                }
            ),
        }
        if instance.public_address:
            told["meta-data/public-ipv4"] = instance.public_address
        if instance.role_arn:
            session = self._session(instance)
            role = instance.role_arn.rsplit("/", 1)[-1]
            told[f"meta-data/iam/security-credentials/{role}"] = describe_credentials(
                session.access_key, session.secret_key, session.token, session.expires
            )
        return told

    def _session(self, instance: Instance) -> cloud.Credentials:
        key = f"{instance.id} {instance.role_arn}"
        session = self._sessions.get(key)
        soon = datetime.now(UTC) + timedelta(minutes=15)
        if session is None or session.expires.replace(tzinfo=UTC) < soon:
            session = cloud.assume_role(instance.role_arn, instance.id, instance.region)
            self._sessions[key] = session
        return session


def _spec(instance: Instance) -> hosts.HostSpec:
    return hosts.HostSpec(instance.id, instance.suite, instance.private_address, instance.public_key)


def _carry_on(act: Callable[..., None], *arguments: object) -> None:
    """One host or database that can't be made (say, the disk is full) must not keep the others waiting: it is logged, and tried again."""
    try:
        act(*arguments)
    except Exception:
        traceback.print_exc()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
