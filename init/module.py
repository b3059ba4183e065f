"""What one Python module of the app has, by its syntax tree; no code of the app runs."""

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from init.report import Place

ASGI_CLASSES = {
    "FastAPI": "FastAPI",
    "Starlette": "Starlette",
    "Quart": "Quart",
    "Litestar": "Litestar",
    "APIStar": "ASGI",
}
_APP_CLASSES = ASGI_CLASSES | {
    "Flask": "Flask",
    "APIFlask": "Flask",
    "OpenAPI": "Flask",
    "Bottle": "Bottle",
    "Eve": "Flask",
}
FACTORY = re.compile(r"(?:create|make|build|init|get)_?(?:\w+_)?(?:app|application|wsgi|server)|app_factory|factory")
_READERS = re.compile(r"\w*env\w*(?:\.\w+)?|config(?:\.\w+)?|decouple\.config")
_NOT_READERS = re.compile(r"config\.(?!get$)\w+|env\.(?:read_env|escape_proxy|Env)")
MISSING = object()


@dataclass(frozen=True)
class Read:
    """A read of an environment variable: whether it fails without it, and its default (MISSING for none, None for an unknown one)."""

    name: str
    required: bool
    default: Any
    place: Place


@dataclass(frozen=True)
class App:
    """An app object, or a function that returns one; `arguments` is whether the function needs arguments."""

    attribute: str
    framework: str
    factory: bool
    arguments: bool
    place: Place
    options: dict[str, Any]


@dataclass(frozen=True)
class Route:
    """A route for GET: its path, the blueprint's identity ("" for none), and whether it needs a login."""

    path: str
    owner: str
    login: bool
    place: Place


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


class Module:
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

    @cached_property
    def reads(self) -> list[Read]:
        """The environment variables that it reads."""
        guarded = {
            id(inner)
            for node in self.nodes
            if isinstance(node, ast.Try)
            for statement in node.body
            for inner in ast.walk(statement)
        }
        found = []
        for node in self.nodes:
            if (
                isinstance(node, ast.Subscript)
                and self._full(node.value) == "os.environ"
                and isinstance(node.ctx, ast.Load)
            ):
                if isinstance(name := literal(node.slice), str):
                    found.append(Read(name, id(node) not in guarded, MISSING, self.place(node)))
            elif isinstance(node, ast.Call) and node.args and isinstance(name := literal(node.args[0]), str):
                found += self._read_by_call(node, name)
            elif isinstance(node, ast.ClassDef):
                found += self._read_by_settings_class(node)
        return [read for read in found if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", read.name)]

    def _full(self, node: ast.expr) -> str:
        """Return a dotted name with its import resolved: environ.get is os.environ.get."""
        first, _, rest = dotted(node).partition(".")
        resolved = self.aliases.get(first, first)
        return f"{resolved}.{rest}" if rest else resolved

    def _read_by_call(self, node: ast.Call, name: str) -> list[Read]:
        full, written = self._full(node.func), dotted(node.func)
        plain = full in ("os.environ.get", "os.getenv", "os.environ.pop")
        # django-environ, environs and python-decouple raise an error without a default.
        reader = not plain and name.isupper() and _READERS.fullmatch(written) and not _NOT_READERS.fullmatch(written)
        libraries = {"environ", "environs", "decouple", "starlette"}
        if not plain and not (reader and (self.imported & libraries or written.startswith("env"))):
            return []
        given = (
            node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "default"), None)
        )
        default = MISSING if given is None else literal(given)
        return [Read(name, not plain and given is None, default, self.place(node))]

    def _read_by_settings_class(self, node: ast.ClassDef) -> list[Read]:
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
            Read(
                f"{prefix}{field.target.id}".upper(),
                field.value is None and "None" not in ast.unparse(field.annotation),
                MISSING if field.value is None else literal(field.value),
                self.place(field),
            )
            for field in node.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        ]

    @cached_property
    def apps(self) -> list[App]:
        """The app objects at the top level, and the functions that create one."""
        classes = dict(_APP_CLASSES)
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    if (name := dotted(base).rpartition(".")[2]) in classes:
                        classes[node.name] = classes[name]
        found = []
        for statement in _top_level(self.tree.body):
            if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                called = dotted(statement.value.func).rpartition(".")[2]
                framework = classes.get(called) or ("" if FACTORY.fullmatch(called) else None)
                if called in ("get_wsgi_application", "get_asgi_application"):
                    framework = "Django"
                for target in targets:
                    if isinstance(target, ast.Name) and framework is not None:
                        options = {k.arg: literal(k.value) for k in statement.value.keywords if k.arg}
                        found.append(App(target.id, framework, False, False, self.place(statement), options))
            elif isinstance(statement, ast.FunctionDef) and (factory := self._factory(statement, classes)):
                found.append(factory)
        return found

    def _factory(self, function: ast.FunctionDef, classes: dict[str, str]) -> App | None:
        made = [
            (classes[name], node)
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and (name := dotted(node.func).rpartition(".")[2]) in classes
        ]
        returns = any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))
        if not returns or function.decorator_list or not (made or FACTORY.fullmatch(function.name)):
            return None
        options = {k.arg: literal(k.value) for k in made[0][1].keywords if k.arg} if made else {}
        named = function.args
        required = len(named.posonlyargs) + len(named.args) - len(named.defaults)
        required += sum(default is None for default in named.kw_defaults)
        return App(function.name, made[0][0] if made else "", True, required > 0, self.place(function), options)

    @cached_property
    def blueprints(self) -> dict[str, str]:
        """The identities of its blueprints and routers, and their prefixes."""
        found = {}
        for name, value in self.values.items():
            if isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in (
                "Blueprint",
                "APIRouter",
                "APIBlueprint",
            ):
                prefix = next((k.value for k in value.keywords if k.arg in ("url_prefix", "prefix")), None)
                found[f"{self.dotted}.{name}"] = literal(prefix) or ""
        return found

    @cached_property
    def registered(self) -> dict[str, str]:
        """The identities of blueprints and routers that it registers with a prefix, and the prefix."""
        found = {}
        for call in self.calls:
            if dotted(call.func).rpartition(".")[2] in ("register_blueprint", "include_router") and call.args:
                prefix = next((k.value for k in call.keywords if k.arg in ("url_prefix", "prefix")), None)
                if isinstance(text := literal(prefix), str):
                    found[self._identity(dotted(call.args[0]))] = text
        return found

    def _identity(self, name: str) -> str:
        first, _, rest = name.partition(".")
        base = self.aliases.get(first) or f"{self.dotted}.{first}"
        return f"{base}.{rest}" if rest else base

    @cached_property
    def routes(self) -> list[Route]:
        """Its routes for GET without variable parts."""
        found = []
        for function in self.nodes:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            login = any(
                re.search(r"login|auth|jwt|require|permission|admin", ast.unparse(decorator))
                for decorator in function.decorator_list
                if not (
                    isinstance(decorator, ast.Call) and decorator.args and isinstance(literal(decorator.args[0]), str)
                )
            )
            for decorator in function.decorator_list:
                if route := self._route(decorator, login):
                    found.append(route)
        for call in self.calls:
            owner, _, method = dotted(call.func).rpartition(".")
            if method == "add_url_rule" and call.args and isinstance(path := literal(call.args[0]), str):
                found.append(Route(path, self._identity(owner), False, self.place(call)))
        return [route for route in found if "<" not in route.path and "{" not in route.path]

    def _route(self, decorator: ast.expr, login: bool) -> Route | None:
        if not isinstance(decorator, ast.Call) or not isinstance(
            path := literal(decorator.args[0] if decorator.args else None), str
        ):
            return None
        owner, _, method = dotted(decorator.func).rpartition(".")
        methods = literal(next((k.value for k in decorator.keywords if k.arg == "methods"), None)) or ["GET"]
        if not owner or method not in ("route", "get") or "GET" not in methods:
            return None
        return Route(path, self._identity(owner), login, self.place(decorator))


def _top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return statements, with those inside of if, try and with."""
    found = []
    for statement in body:
        found.append(statement)
        if isinstance(statement, ast.If | ast.Try | ast.With):
            if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
                continue
            found += _top_level([*statement.body, *getattr(statement, "orelse", [])])
    return found
