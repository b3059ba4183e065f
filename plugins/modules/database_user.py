#!/usr/bin/python
"""Ansible module: a user of a MySQL server with exactly the given privileges, created through a host that reaches the server."""

from __future__ import annotations

import re
import shlex
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: database_user
short_description: Create a MySQL user with exactly the given privileges
description:
  - Ensures that a user exists on a MySQL server, has this password, and has these privileges and no others.
  - The connection is forwarded through a host by SSH; its TLS ends here, so that the host sees no password.
  - Statements of the user's connections that need no revoked privilege never fail meanwhile.
options:
  user:
    description: The user, and the server; as the document that the module kms_parameter stores.
    type: dict
    required: true
    suboptions:
      username: {description: "Name of the user, for connections from any host.", type: str, required: true}
      password: {description: Password of the user., type: str, required: true}
      host: {description: DNS name of the server, which its certificate has., type: str, required: true}
      port: {description: Port of the server., type: int, required: true}
      dbname: {description: Schema whose routines must belong to the user., type: str, required: true}
  ca: {description: "Certificates of the authorities that sign the server's certificate, PEM.", type: str, required: true}
  ssh:
    description: Command that logs in to a host that reaches the server, such as ssh admin@203.0.113.7; without it, the connection is direct.
    type: str
  master:
    description: User that creates the other one.
    type: dict
    required: true
    suboptions:
      username: {description: Name of the user., type: str, required: true}
      password: {description: Password of the user., type: str, required: true}
  grants:
    description:
      - Privileges of the user, a list for each schema, such as C(shop), or each pattern with the wildcard C(*), such as C(shop_*).
      - C(*) alone has the global privileges; C(ALL) are all privileges on a schema.
    type: dict
    required: true
author: [Outport]
"""

EXAMPLES = r"""
- name: Create the app's database user
  database_user:
    user: "{{ lookup('kms_parameter', '/outport/production/shop/database', encryption_context=context) }}"
    master: "{{ lookup('kms_parameter', '/outport/production/shop/database-master', encryption_context=master_context) }}"
    ca: "{{ lookup('ansible.builtin.file', 'rds-ca.pem') }}"
    ssh: ssh admin@203.0.113.7
    grants:
      shop: [ALL]
      "*": [SHOW DATABASES]
"""

RETURN = r"""
statements: {description: "The statements that the run has sent, without passwords.", type: list, elements: str, returned: success}
"""

# What ALL PRIVILEGES grants on a schema.
SCHEMA_PRIVILEGES = frozenset(
    re.findall(
        r"\w+(?: \w+)*",
        """
        ALTER, ALTER ROUTINE, CREATE, CREATE ROUTINE, CREATE TEMPORARY TABLES, CREATE VIEW, DELETE, DROP, EVENT, EXECUTE, INDEX,
        INSERT, LOCK TABLES, REFERENCES, SELECT, SHOW VIEW, TRIGGER, UPDATE
        """,
    )
)
TIMEOUT = 60
ACCESS_DENIED = 1045

Grants = dict[str, set[str]]
"""Privileges by the level at which they are granted: `*` for all schemas, or MySQL's pattern of schemas."""


def as_level(schema: str) -> str:
    """Return the level of a schema, or of a pattern with `*`: in MySQL's patterns, `_` and `%` are wildcards, and a backslash escapes them."""
    return schema if schema == "*" else re.sub(r"[\\_%]", r"\\\g<0>", schema).replace("*", "%")


class Server:
    """The server, reached through the host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.host: str = module.params["user"]["host"]
        self.port: int = module.params["user"]["port"]
        self.tls = self._context(module.params["ca"])

    def _context(self, ca: str) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cadata=ca)
        except ssl.SSLError as error:
            self.module.fail_json(msg=f"The certificates of the database's authorities are not valid: {error}")

    @contextmanager
    def connect(self, user: str, password: str) -> Iterator[pymysql.Connection]:
        """Log in as a user. Raises pymysql.err.OperationalError when the server refuses it or can't be reached."""
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=user,
            password=password,
            ssl=self.tls,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            write_timeout=TIMEOUT,
            defer_connect=True,
        )
        with self._stream() as stream:
            connection.connect(stream)
            with connection:
                yield connection

    @contextmanager
    def _stream(self) -> Iterator[socket.socket | None]:
        """Forward a connection to the server; None for a direct one. What SSH reports is added to the error of the connection."""
        if not self.module.params["ssh"]:
            yield None
            return
        program, *rest = shlex.split(self.module.params["ssh"])
        command = [program, "-W", f"{self.host}:{self.port}", *rest]
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryFile("w+") as errors:
            ours.settimeout(TIMEOUT)
            with theirs:
                process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=errors)
            try:
                yield ours
            except pymysql.err.OperationalError as error:
                process.terminate()
                process.wait()
                errors.seek(0)
                reported = errors.read().strip()
                if not reported or error.args[0] == ACCESS_DENIED:
                    raise
                raise pymysql.err.OperationalError(
                    error.args[0], f"{error.args[1]}. SSH reports: {reported}"
                ) from error
            finally:
                ours.close()
                process.terminate()
                process.wait()


class User:
    """The user, as the master user sees and changes it."""

    def __init__(self, connection: pymysql.Connection, name: str, check_mode: bool) -> None:
        self._connection = connection
        self._check_mode = check_mode
        self.name = name
        self.statements: list[str] = []

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def _change(self, statement: str, *values: str) -> None:
        """Send a statement with the user's name and `values`; it is recorded without them."""
        self.statements.append(statement % (f"'{self.name}'", *("…" for _ in values)))
        if not self._check_mode:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, (self.name, *values))

    def exists(self) -> bool:
        """Return whether the user exists."""
        return bool(self._rows("SELECT 1 FROM mysql.user WHERE user = %s AND host = '%%'", self.name))

    def create(self, password: str) -> None:
        """Create the user, without privileges."""
        self._change("CREATE USER %s@'%%' IDENTIFIED BY %s", password)

    def set_password(self, password: str) -> None:
        """Replace the password."""
        self._change("ALTER USER %s@'%%' IDENTIFIED BY %s", password)

    def grant_exactly(self, wanted: Grants) -> None:
        """Grant what is missing, then revoke what is too much."""
        found = self._grants()
        for level in sorted(wanted):
            self._grant("GRANT {} ON {} TO %s@'%%'", wanted[level] - found.get(level, set()), level)
        for level in sorted(found):
            self._grant("REVOKE {} ON {} FROM %s@'%%'", found[level] - wanted.get(level, set()), level)

    def _grant(self, statement: str, privileges: set[str], level: str) -> None:
        if privileges:
            quoted = "*" if level == "*" else "`{}`".format(level.replace("`", "``").replace("%", "%%"))
            self._change(statement.format(", ".join(sorted(privileges)), f"{quoted}.*"))

    def _grants(self) -> Grants:
        grantee = f"'{self.name}'@'%'"
        of_all = "SELECT '*', privilege_type FROM information_schema.user_privileges WHERE grantee = %s"
        of_schemas = "SELECT table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee = %s"
        found: Grants = {}
        for level, privilege in [*self._rows(of_all, grantee), *self._rows(of_schemas, grantee)]:
            # The absence of any.
            if privilege != "USAGE":
                found.setdefault(level, set()).add(privilege)
        return found

    def foreign_routines(self, schema: str) -> list[str]:
        """Return the routines of a schema whose definer is another user."""
        query = "SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s AND definer <> %s ORDER BY 1"
        return [name for (name,) in self._rows(query, schema, f"{self.name}@%")]


def accepts(server: Server, user: str, password: str) -> bool:
    """Return whether a user can log in with a password."""
    try:
        with server.connect(user, password):
            return True
    except pymysql.err.OperationalError as error:
        if error.args[0] != ACCESS_DENIED:
            raise
        return False


def run(module: AnsibleModule) -> list[str]:
    """Create or change the user and return the statements."""
    options, server = module.params, Server(module)
    name, password, schema = (options["user"][field] for field in ("username", "password", "dbname"))
    grants: Grants = {
        as_level(pattern): set(SCHEMA_PRIVILEGES if privileges == ["ALL"] else privileges)
        for pattern, privileges in options["grants"].items()
    }
    with server.connect(options["master"]["username"], options["master"]["password"]) as connection:
        user = User(connection, name, module.check_mode)
        if not user.exists():
            user.create(password)
        elif not accepts(server, name, password):
            user.set_password(password)
        user.grant_exactly(grants)
        foreign = user.foreign_routines(schema)
        if foreign:
            module.fail_json(
                msg=f"The user {name} exists, but these routines of the schema {schema} belong to another user: {', '.join(foreign)}."
                " The app could neither back them up nor replace them. Create them again as docs/production.md describes, and repeat the run."
            )
        return user.statements


def main() -> None:
    """Run the module."""
    secret = {"type": "str", "required": True, "no_log": True}
    module = AnsibleModule(
        argument_spec={
            "user": {
                "type": "dict",
                "required": True,
                "options": {
                    "username": {"type": "str", "required": True},
                    "password": secret,
                    "host": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "dbname": {"type": "str", "required": True},
                },
            },
            "ca": {"type": "str", "required": True},
            "ssh": {"type": "str"},
            "master": {
                "type": "dict",
                "required": True,
                "options": {"username": {"type": "str", "required": True}, "password": secret},
            },
            "grants": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        statements = run(module)
    except pymysql.err.MySQLError as error:
        where = f"{module.params['user']['host']}:{module.params['user']['port']}"
        module.fail_json(
            msg=f"The database at {where}, as user {module.params['master']['username']}: {error.args[-1]}"
        )
    module.exit_json(changed=bool(statements), statements=statements)


if __name__ == "__main__":
    main()
