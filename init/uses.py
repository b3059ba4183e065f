"""What the app's code uses a value for: the database's URL, or a part of its address or credentials."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from init.syntax import Syntax, assigned, dotted, literal

URL = "url"
_DATABASE = r"(?:\w+_)?(?:DATABASE|DB|SQLALCHEMY(?:_DATABASE)?|MYSQL|POSTGRES(?:QL)?|PG)"
_URL_NAME = re.compile(rf"{_DATABASE}_?(?:URL|URI|DSN)")
_PART_NAME = re.compile(
    r"(?:\w+_)?(?:DB|MYSQL|DATABASE|RDS|POSTGRES|PG|SQL)_?(?P<part>HOST(?:NAME)?|SERVER|USER(?:NAME)?|PASS(?:WORD)?|PASSWD|PORT|NAME|DB|DATABASE|SCHEMA"
    r"|(?:ATTR_)?(?:(?:SSL|TLS)_?)?CA(?:_?(?:CERT|CERTIFICATE|BUNDLE))?(?:_?(?:FILE|PATH))?|(?:SSL|TLS)_?ROOT_?CERT)"
)
# Parts by their names in variables, in Django's DATABASES and in the arguments of drivers.
_PARTS = {
    "HOST": "host",
    "HOSTNAME": "host",
    "SERVER": "host",
    "USER": "username",
    "USERNAME": "username",
    "PASS": "password",
    "PASSWORD": "password",
    "PASSWD": "password",
    "PORT": "port",
    "NAME": "dbname",
    "DB": "dbname",
    "DATABASE": "dbname",
    "DBNAME": "dbname",
    "SCHEMA": "dbname",
    "CA": "ca_file",
    "SSL_CA": "ca_file",
}
_URL_CALLS = re.compile(
    r"(?:\w+\.)*(?:create_(?:async_)?engine|make_url|database_exists|create_database)|dj_database_url\.parse|dataset\.connect"
    r"|playhouse\.db_url\.connect|databases\.Database|pony\.orm\.Database"
)
_DRIVER_CALLS = re.compile(
    r"(?:pymysql|mysql|MySQLdb|mariadb|aiomysql|asyncmy|psycopg2?|asyncpg)\.(?:\w+\.)*\w+|(?:\w+\.)*(?:URL\.create|\w*MySQLDatabase)"
)
_SCHEME = re.compile(r"(?:mysql|mariadb|postgres(?:ql)?|sqlite)(?:\+\w+)?://")
# A URL whose parts are put into it, each a number between two of these.
_MARK = "\0"
_PLACE = rf"(?:{_MARK}\d+{_MARK}|[^{_MARK}:@/?]*)"
_COMPOSED = re.compile(
    rf"[\w+{_MARK}]*://(?P<username>{_PLACE})(?::(?P<password>{_PLACE}))?@(?P<host>{_PLACE})(?::(?P<port>{_PLACE}))?(?:/(?P<dbname>{_PLACE}))?"
)
# Classes with the configuration of other environments.
_NOT_PRODUCTION = re.compile(r"Test|Dev|Local|Staging|CI(?![a-z])")
_DEPTH = 8
# Assignments to one variable that a person writes.
_MOST = 100


def kind_of(name: str) -> str:
    """Return what a variable such as DB_PASSWORD has of a database: URL, or a part such as password; empty for neither."""
    name = name.upper()
    if _URL_NAME.fullmatch(name):
        return URL
    found = _PART_NAME.fullmatch(name)
    return _PARTS.get(found["part"], "ca_file") if found else ""


class Uses:
    """The uses of a module's expressions; `of` has them by the id of the expression, `wanted` by the names of other modules' variables."""

    def __init__(self, module: Syntax) -> None:
        self._module = module
        other = {id(inner) for node in self._classes() for inner in ast.walk(node)}
        nodes = [node for node in module.nodes if id(node) not in other]
        # The functions around an expression, and the values of a name with the function that it is local to.
        self._functions: dict[int, set[int]] = defaultdict(set)
        self._values: dict[str, list[tuple[int, ast.expr]]] = defaultdict(list)
        self._find_values(nodes)
        self.of: dict[int, set[str]] = defaultdict(set)
        self.wanted: dict[str, set[str]] = defaultdict(set)
        # The names that have an expression's value, without local variables.
        self.names: dict[int, set[str]] = defaultdict(set)
        for node in nodes:
            for kind, value in self._sinks(node):
                for source in self._sources(value):
                    self.of[id(source)].add(kind)
                    if name := self._outside(source):
                        self.wanted[name].add(kind)
            for name, value in assigned(node):
                for source in [] if self._is_local(node) else self._sources(value):
                    self.names[id(source)].add(name)
            for value, default in _defaults(node):
                if _SCHEME.match(self._text(default, 0)):
                    self.of[id(value)].add(URL)

    def _find_values(self, nodes: list[ast.AST]) -> None:
        innermost: dict[int, int] = {}
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for inner in ast.walk(node):
                    self._functions[id(inner)].add(id(node))
                    innermost[id(inner)] = id(node)
        for node in nodes:
            for name, value in assigned(node):
                if len(self._values[name]) < _MOST:
                    self._values[name].append((innermost[id(node)] if self._is_local(node) else 0, value))

    def _is_local(self, node: ast.AST) -> bool:
        """Return whether a node assigns local variables of a function."""
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not self._functions.get(id(node)):
            return False
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return all(isinstance(target, ast.Name) for target in targets)

    def _classes(self) -> Iterator[ast.ClassDef]:
        for node in self._module.nodes:
            if isinstance(node, ast.ClassDef) and _NOT_PRODUCTION.search(node.name):
                yield node

    def _sinks(self, node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
        """Yield what a node uses as a URL or a part, each with its kind."""
        for name, value in assigned(node):
            if kind := kind_of(name):
                yield kind, value
            if name == "DATABASES":
                entries = [entry for inner in ast.walk(value) for entry in assigned(inner)]
                yield from ((_PARTS[key], part) for key, part in entries if key in _PARTS)
        if isinstance(node, ast.JoinedStr):
            yield from _composed(node)
        if not isinstance(node, ast.Call):
            return
        called = self._module.full(node.func)
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if _URL_CALLS.fullmatch(called):
            yield from (
                (URL, value) for value in (*node.args[:1], *(named[n] for n in ("url", "name_or_url") if n in named))
            )
        elif called.endswith("set_main_option") and len(node.args) > 1 and literal(node.args[0]) == "sqlalchemy.url":
            yield URL, node.args[1]
        elif _DRIVER_CALLS.fullmatch(called):
            yield from ((_PARTS[name.upper()], value) for name, value in named.items() if name.upper() in _PARTS)

    def _sources(self, node: ast.expr) -> Iterator[ast.expr]:
        """Yield the expressions that may be the value of one."""
        seen: set[int] = set()
        left = [node]
        while left and len(seen) < _MOST:
            one = left.pop()
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                left += self._inner(one)

    def _inner(self, node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.BoolOp):
            return node.values
        if isinstance(node, ast.IfExp):
            return [node.body, node.orelse]
        if isinstance(node, ast.NamedExpr):
            return [node.value]
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            around = {0} | self._functions.get(id(node), set())
            return [value for function, value in self._values.get(name, []) if function in around]
        if not isinstance(node, ast.Call):
            return []
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        reads = dotted(node.func).rpartition(".")[2] in ("get", "getenv", "pop")
        converted = reads or (len(node.args) == 1 and not isinstance(owner, ast.Constant))
        return [
            *(node.args if converted else []),
            *([owner] if isinstance(owner, ast.Name | ast.Call | ast.Subscript) else []),
        ]

    def _outside(self, node: ast.expr) -> str:
        """Return the name of another module's variable, attribute or configuration key; empty for another expression."""
        if isinstance(node, ast.Name):
            return self._module.aliases.get(node.id, "").rpartition(".")[2]
        if isinstance(node, ast.Attribute):
            return "" if dotted(node.value) == "self" else node.attr
        owner, key = ("", None)
        if isinstance(node, ast.Subscript):
            owner, key = dotted(node.value), literal(node.slice)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            owner, key = dotted(node.func.value), literal(node.args[0])
        return key if owner.endswith("config") and isinstance(key, str) else ""

    def _text(self, node: ast.expr | None, depth: int) -> str:
        """Return the start of a text, as far as it is a literal."""
        if isinstance(node, ast.Name) and depth < _DEPTH:
            return self._text(self._module.values.get(node.id), depth + 1)
        if isinstance(node, ast.BinOp):
            return self._text(node.left, depth + 1) if depth < _DEPTH else ""
        if isinstance(node, ast.JoinedStr):
            return self._text(node.values[0], depth + 1) if node.values else ""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            return self._text(node.func.value, depth + 1) if depth < _DEPTH else ""
        text = literal(node)
        return text if isinstance(text, str) else ""


def _defaults(node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield the expressions that a node has a default for, with the default."""
    if isinstance(node, ast.Call):
        default = next((keyword.value for keyword in node.keywords if keyword.arg == "default"), None)
        yield from ((node, value) for value in (*node.args[1:2], *([default] if default else [])))
    elif isinstance(node, ast.BoolOp):
        yield from ((value, node.values[-1]) for value in node.values[:-1])
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield node, node.value


def _composed(node: ast.JoinedStr) -> Iterator[tuple[str, ast.expr]]:
    """Yield the parts that are put into a URL."""
    text = "".join(
        f"{_MARK}{number}{_MARK}" if isinstance(value, ast.FormattedValue) else str(literal(value))
        for number, value in enumerate(node.values)
    )
    found = _COMPOSED.match(text)
    if not found or not (_SCHEME.match(text) or text.startswith(_MARK)):
        return
    for kind, place in found.groupdict().items():
        if (
            place
            and place.startswith(_MARK)
            and isinstance(value := node.values[int(place.strip(_MARK))], ast.FormattedValue)
        ):
            yield kind, value.value
