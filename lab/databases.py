"""A database: a real mysqld with TLS, with its own data directory and its own address on the lab's network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pymysql

from lab import certificates, cgroups, network
from lab.images import mysql_image
from lab.layout import DATABASE_BASE, DATABASES, LOGS

# The privileges of RDS's master user: neither SUPER nor FILE. SET_ANY_DEFINER is the successor of SET_USER_ID.
_MASTER_PRIVILEGES = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "RELOAD", "PROCESS", "REFERENCES", "INDEX", "ALTER"),
    *("SHOW DATABASES", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "REPLICATION SLAVE", "REPLICATION CLIENT"),
    *("CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "CREATE USER", "EVENT", "TRIGGER", "CREATE ROLE"),
    *("DROP ROLE", "APPLICATION_PASSWORD_ADMIN", "ROLE_ADMIN", "SET_ANY_DEFINER", "XA_RECOVER_ADMIN"),
)


# Memory of a class by its last part, GiB.
_MEMORY = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}
# Names of options that differ from their variable's name.
_OPTIONS = {"time_zone": "default-time-zone"}


@dataclass(frozen=True)
class DatabaseSpec:
    """The requested RDS instance: `endpoint` is its DNS name, `schema` the first database or empty, `size` its class."""

    id: str
    endpoint: str
    port: int
    user: str
    password: str
    schema: str
    size: str
    # Parameters of RDS, which are mysqld's system variables; an empty value is the default.
    parameters: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"DatabaseSpec({self.id})"


class Database:
    """One server, from its first start to its removal; `number` determines its address."""

    def __init__(self, spec: DatabaseSpec, number: int) -> None:
        self.spec = spec
        self.address = DATABASE_BASE + number
        self._directory = DATABASES / spec.id
        self._group = f"database-{spec.id}"
        self.log = LOGS / f"database-{spec.id}.log"

    def _mysqld(self, *options: str) -> list[str | Path]:
        # A small server, because all parts of the lab share this machine.
        small = ["--innodb-buffer-pool-size=64M", "--mysqlx=OFF"]
        # RDS writes binary logs while automatic backups are on.
        small += ["--log-bin=/data/binlog", "--binlog-expire-logs-seconds=3600", "--max-binlog-size=64M"]
        # Also notes, which tell why a connection was aborted.
        small += ["--log-error-verbosity=3"]
        small += [f"--{_OPTIONS.get(name, name)}={value}" for name, value in self._variables().items()]
        files = ["--datadir=/data/mysql", "--secure-file-priv=NULL", "--pid-file=/data/pid", "--socket=/data/socket"]
        container = [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--as-pid2",
            "--console=pipe",
            "--resolv-conf=off",
            # Read-only and shared: systemd-nspawn allows a writable tree to one container only.
            "--read-only",
            "--tmpfs=/tmp",
        ]
        return [
            *container,
            f"--bind={self._directory}:/data",
            "-D",
            mysql_image(),
            "mysqld",
            "--no-defaults",
            "--user=root",
            *files,
            *small,
            *options,
        ]

    def start(self) -> None:
        """Start the server, with its existing data if any. Returns immediately; see `ready`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        network.add_address(self.address)
        if not (self._directory / "initialised").exists():
            if (self._directory / "mysql").exists():
                shutil.rmtree(self._directory / "mysql")
            cgroups.run_to_end(self._group, self._mysqld("--initialize-insecure"), self.log, timeout=120)
            certificates.issue([self.spec.endpoint], self._directory / "server.pem", self._directory / "server.key")
            shutil.copy(certificates.CA, self._directory / "ca.pem")
            (self._directory / "initialised").touch()
        first = self._directory / "first.sql"
        first.touch(mode=0o600)
        first.write_text(self._accounts())
        tls = [
            "--ssl-ca=/data/ca.pem",
            "--ssl-cert=/data/server.pem",
            "--ssl-key=/data/server.key",
        ]
        listen = [f"--bind-address={self.address}", f"--port={self.spec.port}", "--init-file=/data/first.sql"]
        cgroups.spawn(self._group, self._mysqld(*tls, *listen), self.log)

    def _accounts(self) -> str:
        user, password = (
            value.replace("\\", "\\\\").replace("'", "\\'") for value in (self.spec.user, self.spec.password)
        )
        lines = [
            f"CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';",
            f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';",
            f"GRANT {', '.join(_MASTER_PRIVILEGES)} ON *.* TO '{user}'@'%' WITH GRANT OPTION;",
        ]
        if self.spec.schema:
            lines.append(f"CREATE DATABASE IF NOT EXISTS `{self.spec.schema}` CHARACTER SET utf8mb4;")
        return "\n".join(lines) + "\n"

    def _variables(self) -> dict[str, str]:
        """Return mysqld's system variables: the parameters, and the default that RDS computes from the memory of the class."""
        # {DBInstanceClassMemory/12582880}, of the memory that the operating system and RDS leave.
        memory = _MEMORY[self.spec.size.rsplit(".", 1)[-1]] * 1024 - 230
        values = {name: value for name, value in self.spec.parameters.items() if value}
        return {"performance_schema": "0", "max_connections": str(memory * 1024**2 // 12582880)} | values

    def apply(self, parameters: dict[str, str]) -> None:
        """Set those of the running server's parameters that have changed, as RDS does with a change that it applies immediately."""
        before = self._variables()
        self.spec = replace(self.spec, parameters=parameters)
        with self._root() as cursor:
            for name, value in self._variables().items():
                if value != before.get(name):
                    cursor.execute(f"SET GLOBAL {name} = %s", (_typed(value),))

    def set_password(self, password: str) -> None:
        """Replace the master user's password; its connections stay."""
        self.spec = replace(self.spec, password=password)
        with self._root() as cursor:
            cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s", (self.spec.user, password))

    @contextmanager
    def _root(self) -> Iterator[pymysql.cursors.Cursor]:
        connection = pymysql.connect(unix_socket=str(self._directory / "socket"), user="root")
        with connection, connection.cursor() as cursor:
            yield cursor

    def running(self) -> bool:
        """Return whether the server has a process."""
        return cgroups.alive(self._group)

    def ready(self) -> bool:
        """Return whether the master user can log in over TLS; after that, no file of the lab contains the password."""
        try:
            connection = pymysql.connect(
                host=str(self.address),
                port=self.spec.port,
                user=self.spec.user,
                password=self.spec.password,
                ssl={"ca": str(certificates.CA), "check_hostname": False},
                connect_timeout=2,
            )
        except pymysql.err.OperationalError:
            return False
        connection.close()
        (self._directory / "first.sql").unlink(missing_ok=True)
        return True

    def stop(self) -> None:
        """Stop the server and keep its data."""
        cgroups.kill(self._group)

    def destroy(self) -> None:
        """Stop the server, and remove its data and its address."""
        cgroups.kill(self._group)
        shutil.rmtree(self._directory)
        network.remove_address(self.address)


def _typed(value: str) -> int | float | str:
    """Return a value in the type that SET requires."""
    if value.isdigit():
        return int(value)
    return float(value) if value.replace(".", "", 1).isdigit() else value
