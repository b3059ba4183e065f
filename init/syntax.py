"""The syntax tree of one Python module of the app, with its names resolved; no code of the app runs."""

import ast
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from init.report import Place


def dotted(node: ast.expr) -> str:
    """Return a name such as os.environ.get; empty for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def literal(node: ast.expr | None) -> Any:
    """Return the value of a literal; None for another expression."""
    try:
        return ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def assigned(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """Return the names and values that a node assigns: variables, app.config[...], keywords, entries of a dict."""
    if isinstance(node, ast.Assign):
        names = [
            dotted(target).rpartition(".")[2] or (literal(target.slice) if isinstance(target, ast.Subscript) else "")
            for target in node.targets
        ]
        return [(name, node.value) for name in names if isinstance(name, str)]
    if isinstance(node, ast.AnnAssign) and node.value:
        return [(dotted(node.target).rpartition(".")[2], node.value)]
    if isinstance(node, ast.keyword) and node.arg:
        return [(node.arg, node.value)]
    if isinstance(node, ast.Dict):
        return [
            (literal(key), value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        ]
    return []


class Syntax:
    """A parsed module."""

    def __init__(self, path: str, text: str) -> None:
        self.path = PurePosixPath(path)
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))

    def place(self, node: ast.AST) -> Place:
        """Return where a node is."""
        return Place(str(self.path), getattr(node, "lineno", 0))

    @property
    def dotted(self) -> str:
        """The module's name, counted from the repository's top."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls."""
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Imported names and what they stand for, such as auth_bp to app.auth.bp."""
        found = {}
        package = self.dotted.split(".") if self.path.name == "__init__.py" else self.dotted.split(".")[:-1]
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for name in node.names:
                    found[name.asname or name.name.split(".")[0]] = (
                        name.name if name.asname else name.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join([*above, *([node.module] if node.module else [])])
                for name in node.names:
                    found[name.asname or name.name] = f"{base}.{name.name}" if base else name.name
        return found

    @property
    def imported(self) -> set[str]:
        """The top-level packages that it imports."""
        return {name.split(".")[0] for name in self.aliases.values()}

    @cached_property
    def values(self) -> dict[str, ast.expr]:
        """Assignments to plain names, anywhere in the module; the last one counts."""
        found = {}
        for node in self.nodes:
            if isinstance(node, ast.Assign):
                found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
                found[node.target.id] = node.value
        return found

    def full(self, node: ast.expr) -> str:
        """Return a dotted name with its import resolved: environ.get is os.environ.get."""
        first, _, rest = dotted(node).partition(".")
        resolved = self.aliases.get(first, first)
        return f"{resolved}.{rest}" if rest else resolved
