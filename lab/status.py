"""The status of the lab: written by its daemon, read by its commands."""

import json
from dataclasses import asdict, dataclass, field

from lab.layout import STATE

_FILE = STATE / "status.json"


@dataclass(frozen=True)
class HostStatus:
    """A host: `state` in EC2's terms, `suite` of Debian, addresses IPv4."""

    id: str
    name: str
    state: str
    suite: str
    private: str
    public: str


@dataclass(frozen=True)
class DatabaseStatus:
    """A database: its endpoint and the address of that name."""

    id: str
    endpoint: str
    address: str


@dataclass(frozen=True)
class Status:
    """The whole status; `names` are Route 53's A records; `problems` are causes of failed starts, by name of the host or database."""

    hosts: list[HostStatus] = field(default_factory=list)
    databases: list[DatabaseStatus] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write the status atomically."""
        text = json.dumps(asdict(self), indent=1)
        if not _FILE.exists() or _FILE.read_text() != text:
            partial = _FILE.with_suffix(".partial")
            partial.write_text(text)
            partial.rename(_FILE)

    @classmethod
    def read(cls) -> "Status":
        """Return the last written status."""
        if not _FILE.exists():
            return cls()
        found = json.loads(_FILE.read_text())
        hosts = [HostStatus(**host) for host in found["hosts"]]
        databases = [DatabaseStatus(**database) for database in found["databases"]]
        return cls(hosts, databases, found["names"], found["problems"])
