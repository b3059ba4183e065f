"""The routes of a module of the app, and the prefixes of its blueprints."""

import ast
import re
from dataclasses import dataclass

from init.report import Place
from init.syntax import Syntax, dotted, literal


@dataclass(frozen=True)
class Route:
    """A route for GET: its path, the blueprint's identity ("" for none), and whether it needs a login."""

    path: str
    owner: str
    login: bool
    place: Place


def find_blueprints(module: Syntax) -> dict[str, str]:
    """Return the identities of the blueprints and routers of a module, and their prefixes."""
    found = {}
    for name, value in module.values.items():
        if isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in (
            "Blueprint",
            "APIRouter",
            "APIBlueprint",
        ):
            prefix = next((k.value for k in value.keywords if k.arg in ("url_prefix", "prefix")), None)
            found[f"{module.dotted}.{name}"] = literal(prefix) or ""
    return found


def find_registered(module: Syntax) -> dict[str, str]:
    """Return the identities of blueprints and routers that a module registers with a prefix, and the prefix."""
    found = {}
    for call in module.calls:
        if dotted(call.func).rpartition(".")[2] in ("register_blueprint", "include_router") and call.args:
            prefix = next((k.value for k in call.keywords if k.arg in ("url_prefix", "prefix")), None)
            if isinstance(text := literal(prefix), str):
                found[identity(module, dotted(call.args[0]))] = text
    return found


def identity(module: Syntax, name: str) -> str:
    """Return the dotted name of what a name of the module stands for."""
    first, _, rest = name.partition(".")
    base = module.aliases.get(first) or f"{module.dotted}.{first}"
    return f"{base}.{rest}" if rest else base


def find_routes(module: Syntax) -> list[Route]:
    """Return the routes for GET without variable parts of a module."""
    found = []
    for function in module.nodes:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        login = any(
            re.search(r"login|auth|jwt|require|permission|admin", ast.unparse(decorator))
            for decorator in function.decorator_list
            if not (isinstance(decorator, ast.Call) and decorator.args and isinstance(literal(decorator.args[0]), str))
        )
        for decorator in function.decorator_list:
            if route := _route(module, decorator, login):
                found.append(route)
    for call in module.calls:
        owner, _, method = dotted(call.func).rpartition(".")
        if method == "add_url_rule" and call.args and isinstance(path := literal(call.args[0]), str):
            found.append(Route(path, identity(module, owner), False, module.place(call)))
    return [route for route in found if "<" not in route.path and "{" not in route.path]


def _route(module: Syntax, decorator: ast.expr, login: bool) -> Route | None:
    if not isinstance(decorator, ast.Call) or not isinstance(
        path := literal(decorator.args[0] if decorator.args else None), str
    ):
        return None
    owner, _, method = dotted(decorator.func).rpartition(".")
    methods = literal(next((k.value for k in decorator.keywords if k.arg == "methods"), None)) or ["GET"]
    if not owner or method not in ("route", "get") or "GET" not in methods:
        return None
    return Route(path, identity(module, owner), login, module.place(decorator))
