"""Paths that the app's code computes, such as os.path.join(app.root_path, "uploads"), relative to the repository's top."""

import ast
from pathlib import PurePosixPath
from typing import Any

from init.module import Module
from init.syntax import dotted, literal

_SAME = {
    "abspath",
    "realpath",
    "normpath",
    "expanduser",
    "Path",
    "PurePath",
    "resolve",
    "absolute",
    "str",
    "fspath",
    "expandvars",
    "as_posix",
}
_DEPTH = 12


class Paths:
    """Evaluates expressions of a module; `cwd` is the app's directory, `root` that of its package, both in the repository."""

    def __init__(self, module: Module, cwd: str, root: str) -> None:
        self._module = module
        self._cwd, self._root = PurePosixPath("/") / cwd, PurePosixPath("/") / root

    def inside(self, node: ast.expr) -> str:
        """Return the path of an expression, relative to the repository's top; empty when it is unknown or outside."""
        found = self._path(node, 0)
        if found is None:
            return ""
        parts: list[str] = []
        for part in (self._cwd / found).parts[1:]:
            if part == ".." and not parts:
                return ""
            parts = parts[:-1] if part == ".." else [*parts, part]
        full = PurePosixPath("/", *parts)
        return str(full.relative_to("/")) if full.is_relative_to(self._cwd) else ""

    def of_file(self, node: ast.expr) -> str:
        """Return the path of a file as inside() does, with ./ in front of one that does not depend on the current directory."""
        inside, found = self.inside(node), self._path(node, 0)
        return f"./{inside}" if inside and found is not None and found.is_absolute() else inside

    def _path(self, node: ast.expr, depth: int) -> PurePosixPath | None:
        if depth > _DEPTH:
            return None
        if isinstance(node, ast.Constant):
            # An absolute path of the machine that it was written on is none of the repository's.
            return (
                PurePosixPath(node.value)
                if isinstance(node.value, str) and node.value and not node.value.startswith("/")
                else None
            )
        if isinstance(node, ast.Name):
            if node.id == "__file__":
                return PurePosixPath("/") / self._module.path
            value = self._module.values.get(node.id)
            return self._path(value, depth + 1) if value is not None else None
        if isinstance(node, ast.Attribute):
            return self._attribute(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._joined([node.left, node.right], depth)
        if isinstance(node, ast.JoinedStr):
            return self._formatted(node, depth)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self._path(node.values[-1], depth + 1)
        return self._called(node, depth) if isinstance(node, ast.Call) else None

    def _attribute(self, node: ast.Attribute, depth: int) -> PurePosixPath | None:
        if dotted(node) in ("os.pardir", "os.path.pardir"):
            return PurePosixPath("..")
        if node.attr == "instance_path":
            return (self._root.parent if self._root != self._cwd else self._root) / "instance"
        if node.attr == "root_path":
            return self._root
        inner = self._path(node.value, depth + 1)
        return inner.parent if inner is not None and node.attr == "parent" else None

    def _called(self, node: ast.Call, depth: int) -> PurePosixPath | None:
        name = dotted(node.func).rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        if name == "getcwd" or (name == "cwd" and not node.args):
            return self._cwd
        if name in ("get", "getenv") and len(node.args) > 1:
            return self._path(node.args[1], depth + 1)
        if name == "dirname" and node.args:
            inner = self._path(node.args[0], depth + 1)
            return inner.parent if inner is not None else None
        if (name in ("join", "Path") and len(node.args) > 1) or (name == "joinpath" and node.args):
            base = [node.func.value] if name == "joinpath" and isinstance(node.func, ast.Attribute) else []
            return self._joined([*base, *node.args], depth)
        if name in _SAME:
            inner = node.args[0] if node.args else node.func.value if isinstance(node.func, ast.Attribute) else None
            return self._path(inner, depth + 1) if inner is not None else None
        return None

    def _joined(self, nodes: list[ast.expr], depth: int) -> PurePosixPath | None:
        parts: list[Any] = [self._path(node, depth + 1) for node in nodes]
        return PurePosixPath(*parts) if parts and None not in parts else None

    def _formatted(self, node: ast.JoinedStr, depth: int) -> PurePosixPath | None:
        text = ""
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += str(value.value)
            elif isinstance(value, ast.FormattedValue) and (inner := self._path(value.value, depth + 1)) is not None:
                text += str(inner)
            else:
                return None
        return PurePosixPath(text)


def sqlite_file(node: ast.expr, paths: Paths) -> str | None:
    """Return the file of an SQLite URL, relative to the repository's top; empty for an unknown one, None for another URL.

    A relative one of Flask-SQLAlchemy is in the instance directory; the caller decides. Others begin with ./.
    """
    if isinstance(node, ast.BoolOp):
        return next(
            (found for value in reversed(node.values) if (found := sqlite_file(value, paths)) is not None), None
        )
    if isinstance(node, ast.Call) and len(node.args) > 1:
        return sqlite_file(node.args[1], paths)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        text = literal(node.left)
        return paths.of_file(node.right) if isinstance(text, str) and text.startswith("sqlite:") else None
    if isinstance(node, ast.JoinedStr):
        text = literal(node.values[0]) if node.values else None
        if isinstance(text, str) and text.startswith("sqlite:"):
            rest = ast.JoinedStr([ast.Constant(text.partition("///")[2]), *node.values[1:]])
            return paths.of_file(rest if text.partition("///")[2] else ast.JoinedStr(node.values[1:]))
        return None
    text = literal(node)
    if isinstance(text, str) and text.startswith("sqlite:"):
        file = text.partition("///")[2]
        return file if file and not file.startswith(("/", ":")) else ""
    return None
