"""The environment variables that a module of the app reads."""

import ast
import re
from dataclasses import dataclass, replace
from typing import Any

from init.report import Place
from init.syntax import Syntax, dotted, literal
from init.uses import URL, Uses

_READERS = re.compile(r"\w*env\w*(?:\.\w+)?|config(?:\.\w+)?|decouple\.config")
_NOT_READERS = re.compile(r"config\.(?!get$)\w+|env\.(?:read_env|escape_proxy|Env)")
MISSING = object()


@dataclass(frozen=True)
class Read:
    """A read of an environment variable: whether it fails without it, and its default (MISSING for none, None for an unknown one).

    `uses` are what the code uses the value for, as Uses has it, and `names` the variables and configuration keys that have the value.
    """

    name: str
    required: bool
    default: Any
    place: Place
    uses: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def find_reads(module: Syntax, uses: Uses) -> list[Read]:
    """Return the environment variables that a module reads."""
    guarded = {
        id(inner)
        for node in module.nodes
        if isinstance(node, ast.Try)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    alternatives = {
        id(value): literal(node.values[-1])
        for node in module.nodes
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
        for value in node.values[:-1]
    }
    found: list[tuple[ast.AST, Read]] = []
    for node in module.nodes:
        if (
            isinstance(node, ast.Subscript)
            and module.full(node.value) == "os.environ"
            and isinstance(node.ctx, ast.Load)
        ):
            if isinstance(name := literal(node.slice), str):
                found.append((node, Read(name, id(node) not in guarded, MISSING, module.place(node))))
        elif isinstance(node, ast.Call) and (read := _read_of_url(module, node)):
            found.append((node, read))
        elif isinstance(node, ast.Call) and node.args and isinstance(name := literal(node.args[0]), str):
            found += [(node, read) for read in _read_by_call(module, node, name)]
        elif isinstance(node, ast.ClassDef):
            found += _read_by_settings_class(module, node)
    return [
        replace(
            read,
            default=alternatives.get(id(node), MISSING) if read.default is MISSING else read.default,
            uses=read.uses | frozenset(uses.of.get(id(node), ())),
            names=read.names | frozenset(uses.names.get(id(node), ())),
        )
        for node, read in found
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", read.name)
    ]


def _read_of_url(module: Syntax, node: ast.Call) -> Read | None:
    """Return the read of a database's URL by dj-database-url, django-environ or environs, whose variable is DATABASE_URL by default."""
    owner, _, method = module.full(node.func).rpartition(".")
    plain = (owner, method) == ("dj_database_url", "config")
    if not plain and (method not in ("db", "db_url", "dj_db_url") or not {"environ", "environs"} & module.imported):
        return None
    named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    given = named.get("env") or named.get("var") or (node.args[0] if node.args else None)
    name = "DATABASE_URL" if given is None else literal(given)
    default = node.args[1] if len(node.args) > 1 else named.get("default")
    if not isinstance(name, str):
        return None
    value = MISSING if default is None else literal(default)
    return Read(name, not plain and default is None, value, module.place(node), frozenset({URL}))


def _read_by_call(module: Syntax, node: ast.Call, name: str) -> list[Read]:
    full, written = module.full(node.func), dotted(node.func)
    plain = full in ("os.environ.get", "os.getenv", "os.environ.pop")
    # django-environ, environs and python-decouple raise an error without a default.
    reader = not plain and name.isupper() and _READERS.fullmatch(written) and not _NOT_READERS.fullmatch(written)
    libraries = {"environ", "environs", "decouple", "starlette"}
    if not plain and not (reader and (module.imported & libraries or written.startswith("env"))):
        return []
    given = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "default"), None)
    default = MISSING if given is None else literal(given)
    return [Read(name, not plain and given is None, default, module.place(node))]


def _read_by_settings_class(module: Syntax, node: ast.ClassDef) -> list[tuple[ast.AST, Read]]:
    """Return the fields of a class of pydantic-settings."""
    if not any(dotted(base).endswith("BaseSettings") for base in node.bases):
        return []
    prefixes = [
        inner.value
        for inner in ast.walk(node)
        if (isinstance(inner, ast.keyword) and inner.arg == "env_prefix")
        or (isinstance(inner, ast.Assign) and any(dotted(target) == "env_prefix" for target in inner.targets))
    ]
    prefix = literal(prefixes[0]) or "" if prefixes else ""
    return [
        (
            field,
            Read(
                f"{prefix}{field.target.id}".upper(),
                field.value is None and "None" not in ast.unparse(field.annotation),
                MISSING if field.value is None else literal(field.value),
                module.place(field),
                names=frozenset({field.target.id}),
            ),
        )
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    ]
