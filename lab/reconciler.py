"""Reconciles this machine with the resources in the AWS API: hosts, databases, addresses, DNS records."""

import json
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lab import cloud, hosts, network
from lab.cloud import Instance
from lab.databases import Database, DatabaseSpec
from lab.layout import KNOWN_HOSTS
from lab.metadata import Metadata, describe_credentials
from lab.services import Service, set_names
from lab.status import DatabaseStatus, HostStatus, Status

_ALIVE = ("pending", "running")
# States in which RDS restarts the server.
_RESTARTS = ("modifying", "rebooting")
# Backoff between attempts and timeout of a start, seconds.
_BACKOFF, _MAX_BACKOFF, _START_TIMEOUT = 3, 60, 180
_TAIL = 8
# Consecutive failures.
_FAILURES = 3


class Reconciler:
    """The cloud's resources on this machine; `reconcile` takes one step towards the desired state."""

    def __init__(self, dns: Service) -> None:
        self._dns = dns
        self._instances: list[Instance] = []
        self._databases: dict[str, Database] = {}
        self._numbers = 0
        self._translated: dict[str, str] = {}
        self._sessions: dict[str, cloud.Credentials] = {}
        self._starts = Starts()
        # Hosts whose SSH server has not responded yet.
        self._booting: set[str] = set()
        # Databases whose server was stopped for a restart, until it is up again.
        self._restarting: set[str] = set()
        self._failures: Counter[str] = Counter()

    def reconcile(self) -> None:
        """Compare and act once; cheap when there is no difference."""
        self._instances = cloud.instances()
        for instance in self._instances:
            self._attempt(f"host {instance.name}", hosts.log(instance.id), self._reconcile_host, instance)
        self._attempt("databases", None, self._reconcile_databases)
        self._reconcile_addresses()
        self._write_status()

    def _reconcile_host(self, instance: Instance) -> None:
        if instance.state in _ALIVE and instance.suite:
            if instance.state == "pending" or instance.id in self._booting:
                self._boot(instance)
            elif not hosts.running(instance.id) and hosts.rebooting(instance.id):
                _log(f"host {instance.id} reboots")
                hosts.start(_spec(instance))
            elif not hosts.running(instance.id):
                _log(f"host {instance.id} has shut down")
                cloud.set_stopped(instance.id)
        elif instance.state == "stopping" and hosts.running(instance.id):
            _log(f"stopping host {instance.id}")
            hosts.shut_down(instance.id)
        elif instance.state == "stopping":
            _log(f"host {instance.id} has stopped")
            cloud.set_stopped(instance.id)
        elif instance.state == "terminated" and hosts.exists(instance.id):
            _log(f"removing host {instance.id}")
            hosts.destroy(instance.id)

    def _boot(self, instance: Instance) -> None:
        """Start a host until its SSH server responds; EC2 reports it as running long before."""
        name, log = f"host {instance.name}", hosts.log(instance.id)
        if not hosts.running(instance.id):
            if self._starts.may_start(name, log):
                _log(f"starting {name} ({instance.id}) at {instance.private_address}")
                hosts.start(_spec(instance))
                self._booting.add(instance.id)
        elif hosts.reachable(instance.private_address):
            _log(f"{name} ({instance.id}) is up")
            self._starts.clear(name)
            self._booting.discard(instance.id)
        else:
            self._starts.check_timeout(name, log, "its SSH port does not respond")
        if instance.state == "pending" and hosts.running(instance.id):
            cloud.set_running(instance.id)

    def _reconcile_databases(self) -> None:
        wanted = {found.id: found for found in cloud.databases()}
        for identifier, found in wanted.items():
            if identifier not in self._databases:
                self._numbers += 1
                self._databases[identifier] = Database(_database_spec(found), self._numbers)
            self._reconcile_database(found, self._databases[identifier])
        for identifier in self._databases.keys() - wanted.keys():
            _log(f"removing database {identifier}")
            self._databases.pop(identifier).destroy()

    def _reconcile_database(self, found: cloud.RdsInstance, database: Database) -> None:
        name = f"database {found.id}"
        if found.status == "deleting":
            return
        if found.status == "stopped":
            if database.running():
                _log(f"stopping {name}")
                database.stop()
        elif found.status in _RESTARTS and found.id not in self._restarting:
            _log(f"restarting {name}: {found.status}")
            database.stop()
            self._restarting.add(found.id)
        elif not database.running():
            if found.status not in ("creating", *_RESTARTS):
                cloud.set_database_status(found.id, "starting")
            if self._starts.may_start(name, database.log):
                database.spec = _database_spec(found)
                _log(f"starting {name} at {database.address}")
                self._attempt(name, database.log, database.start)
        elif found.status in ("creating", "starting", *_RESTARTS):
            if database.ready():
                _log(f"{name} is up")
                self._starts.clear(name)
                self._restarting.discard(found.id)
                cloud.set_database_status(found.id, "available")
            else:
                self._starts.check_timeout(name, database.log, "the master user can't log in")
        elif found.parameters != database.spec.parameters:
            _log(f"applying parameters of {name}")
            database.apply(found.parameters)
        elif found.password() != database.spec.password:
            _log(f"replacing the master password of {name}")
            database.set_password(found.password())

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
        Status(hosts_now, databases_now, cloud.records(), self._starts.problems).write()

    def _attempt(self, name: str, log: Path | None, act: Callable[..., None], *arguments: object) -> None:
        """Act; a failure, such as a full disk, is retried, reported when it persists, and delays nothing else."""
        try:
            act(*arguments)
        except Exception as error:
            traceback.print_exc()
            self._failures[name] += 1
            if self._failures[name] >= _FAILURES:
                self._starts.report(name, str(error) or type(error).__name__, log)
        else:
            del self._failures[name]

    def metadata(self, address: str) -> Metadata | None:
        """Return the metadata of the host at `address`."""
        instance = next((i for i in self._instances if i.private_address == address and i.state in _ALIVE), None)
        if instance is None:
            return None
        metadata = {
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
            metadata["meta-data/public-ipv4"] = instance.public_address
        if instance.role_arn:
            session = self._session(instance)
            role = instance.role_arn.rsplit("/", 1)[-1]
            metadata[f"meta-data/iam/security-credentials/{role}"] = describe_credentials(
                session.access_key, session.secret_key, session.token, session.expires
            )
        return metadata

    def _session(self, instance: Instance) -> cloud.Credentials:
        key = f"{instance.id} {instance.role_arn}"
        session = self._sessions.get(key)
        soon = datetime.now(UTC) + timedelta(minutes=15)
        if session is None or session.expires.replace(tzinfo=UTC) < soon:
            session = cloud.assume_role(instance.role_arn, instance.id, instance.region)
            self._sessions[key] = session
        return session


class Starts:
    """Starts of hosts and databases: failed ones are retried with backoff, and `problems` has their causes, by name."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        # Time of the last start and of the exit, and the number of starts.
        self._started: dict[str, float] = {}
        self._exited: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def may_start(self, name: str, log: Path) -> bool:
        """Return whether to start it now; the cause of an earlier exit is at the end of its log."""
        now = time.monotonic()
        if name in self._started:
            exited = self._exited.setdefault(name, now)
            self.report(name, f"it exited {exited - self._started[name]:.0f} s after its start", log)
            if now - exited < min(_BACKOFF * self._count[name], _MAX_BACKOFF):
                return False
        self._count[name] += 1
        self._started[name] = now
        self._exited.pop(name, None)
        return True

    def check_timeout(self, name: str, log: Path, symptom: str) -> None:
        """Report one that runs but has exceeded the timeout of its start."""
        seconds = time.monotonic() - self._started.get(name, time.monotonic())
        if seconds > _START_TIMEOUT:
            self.report(name, f"it is not ready after {seconds:.0f} s: {symptom}", log)

    def clear(self, name: str) -> None:
        """Clear its problem and its backoff."""
        for known in (self.problems, self._started, self._exited, self._count):
            known.pop(name, None)

    def report(self, name: str, cause: str, log: Path | None = None) -> None:
        """Record the first cause, with the end of a log, and write it to the daemon's log."""
        if name in self.problems:
            return
        lines = log.read_text(errors="replace").splitlines() if log and log.exists() else []
        tail = [f"  {line.strip()}" for line in lines if line.strip()][-_TAIL:]
        self.problems[name] = "\n".join([cause, *tail])
        _log(f"{name} does not start: {self.problems[name]}")


def _database_spec(found: cloud.RdsInstance) -> DatabaseSpec:
    return DatabaseSpec(
        id=found.id,
        endpoint=found.endpoint,
        port=found.port,
        user=found.user,
        password=found.password(),
        schema=found.schema,
        size=found.size,
        parameters=found.parameters,
    )


def _spec(instance: Instance) -> hosts.HostSpec:
    return hosts.HostSpec(instance.id, instance.suite, instance.private_address, instance.public_key)


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
