"""The variable by which an app selects MySQL among several databases."""

import ast
import re
from collections.abc import Iterator

from init.detect.entry import Entry
from init.module import Module
from init.project import Project
from init.reads import Read
from init.report import Report
from init.syntax import dotted, literal

_SELECTOR = re.compile(
    r"(?:\w+_)?(?:DB|DATABASE|SQL|SQLALCHEMY)_?(?:TYPE|ENGINE|DIALECT|DRIVER|BACKEND|VENDOR|KIND|SCHEME|PROTOCOL|PROVIDER|CONNECTION|SYSTEM)|DB"
)
_MYSQL = re.compile(
    r"mysql|mariadb|(?:mysql|mariadb)\+\w+|django\.db\.backends\.mysql|mysql(?:db|client)", re.IGNORECASE
)
_SCHEME = re.compile(r"(?:%s|\{\w*\})(?:\+\w+)?://")


def detect(project: Project, entry: Entry, reads: dict[str, Read], scheme: str, report: Report) -> None:
    """Set the variables that select MySQL; `scheme` is that of a URL of SQLAlchemy, or Django's engine."""
    modules = [module for path, module in project.modules.items() if path.startswith(f"{entry.subdir}/".lstrip("/"))]
    for name, read in reads.items():
        if not _SELECTOR.fullmatch(name) or _MYSQL.fullmatch(str(read.default)):
            continue
        values = [
            value for module in modules for value in _Choices(module, name, _bound(modules, name), scheme).values()
        ]
        if mysql := [value for value in values if _MYSQL.fullmatch(value)]:
            report.add("app_environment", {name: min(mysql, key=len)}, f"{name} selects MySQL", read.place)
        elif values or name != "DB":
            shown = f" The code has {', '.join(dict.fromkeys(values))}." if values else ""
            report.note(
                f"{name} selects the database, and its value for MySQL can't be read from the code.{shown} Add it to app_environment, "
                f"such as {{{name}: mysql}}.",
                read.place,
            )


def _bound(modules: list[Module], name: str) -> set[str]:
    """Return the names of variables and attributes that have the value of an environment variable."""
    found = set()
    for module in modules:
        for node in module.nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _names(node.value, name):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {dotted(target).rpartition(".")[2] for target in targets}
    return found - {""}


def _names(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Call | ast.Subscript | ast.BoolOp) and any(
        isinstance(inner, ast.Constant) and inner.value == name for inner in ast.walk(node)
    )


class _Choices:
    """Finds the values that a module compares an environment variable with."""

    def __init__(self, module: Module, name: str, bound: set[str], scheme: str) -> None:
        self._module, self._name, self._bound, self._scheme = module, name, bound, scheme

    def values(self) -> Iterator[str]:
        """Yield the values; that of a URL's scheme is the scheme of MySQL."""
        for node in self._module.nodes:
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(self._is_read(side) for side in sides):
                    yield from (text for side in sides if not self._is_read(side) for text in _texts(side))
            elif isinstance(node, ast.Match) and self._is_read(node.subject):
                yield from (text for case in node.cases for inner in ast.walk(case.pattern) for text in _texts(inner))
            elif isinstance(node, ast.Subscript) and self._is_read(node.slice):
                yield from self._keys(node.value)
            elif isinstance(node, ast.Dict):
                engines = [
                    literal(key) for key, value in zip(node.keys, node.values, strict=True) if self._is_read(value)
                ]
                yield from [self._scheme] if "ENGINE" in engines else []
            elif isinstance(node, ast.JoinedStr):
                yield from self._formatted(node)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(literal(node.left), str):
                values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
                yield from [self._scheme] if _SCHEME.match(literal(node.left)) and self._is_read(values[0]) else []
            elif isinstance(node, ast.Call):
                yield from self._called(node)

    def _is_read(self, node: ast.AST) -> bool:
        while (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("lower", "strip", "upper")
        ):
            node = node.func.value
        if isinstance(node, ast.Name | ast.Attribute):
            return dotted(node).rpartition(".")[2] in self._bound
        return isinstance(node, ast.expr) and not isinstance(node, ast.Compare) and _names(node, self._name)

    def _keys(self, node: ast.expr) -> Iterator[str]:
        table = self._module.values.get(node.id) if isinstance(node, ast.Name) else node
        if isinstance(table, ast.Dict):
            yield from (text for key in table.keys if key is not None for text in _texts(key))

    def _formatted(self, node: ast.JoinedStr) -> Iterator[str]:
        for value, after in zip(node.values, node.values[1:], strict=False):
            if (
                isinstance(value, ast.FormattedValue)
                and self._is_read(value.value)
                and str(literal(after)).startswith("://")
            ):
                yield self._scheme

    def _called(self, node: ast.Call) -> Iterator[str]:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        method = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        if method == "startswith" and owner is not None and self._is_read(owner):
            yield from (text for argument in node.args for text in _texts(argument))
        elif method == "get" and owner is not None and node.args and self._is_read(node.args[0]):
            yield from self._keys(owner)
        elif method == "format" and owner is not None and node.args and _SCHEME.match(str(literal(owner))):
            yield from [self._scheme] if self._is_read(node.args[0]) else []
        elif any(keyword.arg == "drivername" and self._is_read(keyword.value) for keyword in node.keywords):
            yield self._scheme


def _texts(node: ast.AST) -> list[str]:
    """Return the texts of a literal, or of a list of literals."""
    nodes = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [inner.value for inner in nodes if isinstance(inner, ast.Constant) and isinstance(inner.value, str)]
