"""The routes of a module of the app, and the prefixes of its blueprints."""

import ast
import re
from dataclasses import dataclass

from init.report import Place
from init.syntax import Syntax, assigned, dotted, literal

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_REDIRECTS = {"redirect", "RedirectResponse", "HttpResponseRedirect", "HttpResponsePermanentRedirect"}
_DEPTH = 8


@dataclass(frozen=True)
class Route:
    """A route for GET: its path, the blueprint's identity ("" for none), whether it needs a login, and whether it always redirects."""

    path: str
    owner: str
    login: bool
    place: Place
    redirects: bool = False


@dataclass(frozen=True)
class Registered:
    """Where a blueprint or a router is registered: the identity of the app or the blueprint, and the prefix.

    "" is no prefix, and None one that the code computes. It `adds` to that of the router, or replaces that of the blueprint.
    """

    owner: str
    prefix: str | None
    adds: bool


def find_blueprints(module: Syntax) -> dict[str, str | None]:
    """Return the identities of the blueprints and routers of a module, and their prefixes: "" for none, None for one that is computed."""
    found = {}
    for name, value in module.values.items():
        if isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in (
            "Blueprint",
            "APIRouter",
            "APIBlueprint",
        ):
            found[f"{module.dotted}.{name}"] = _prefix(module, value)
    return found


def find_registered(module: Syntax) -> dict[str, Registered]:
    """Return the identities of blueprints and routers that a module registers, and where."""
    found = {}
    for call in module.calls:
        owner, _, method = dotted(call.func).rpartition(".")
        if method in ("register_blueprint", "include_router") and call.args and dotted(call.args[0]):
            adds = method == "include_router"
            child = identity(module, dotted(call.args[0]))
            found[child] = Registered(identity(module, owner), _prefix(module, call), adds)
    return found


def _prefix(module: Syntax, call: ast.Call) -> str | None:
    given = next((k.value for k in call.keywords if k.arg in ("url_prefix", "prefix")), None)
    return "" if given is None or (isinstance(given, ast.Constant) and given.value is None) else _text(module, given, 0)


def _text(module: Syntax, node: ast.expr | None, depth: int) -> str | None:
    """Return the text of an expression of literals and of the module's constants; None for another one."""
    if isinstance(node, ast.Name) and depth < _DEPTH:
        return _text(module, module.values.get(node.id), depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        parts = [value.value if isinstance(value, ast.FormattedValue) else value for value in node.values]
    else:
        text = literal(node)
        return text if isinstance(text, str) else None
    texts = [_text(module, part, depth + 1) for part in parts] if depth < _DEPTH else [None]
    return None if None in texts else "".join(map(str, texts))


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
        for decorator in function.decorator_list:
            if route := _route(module, decorator, function):
                found.append(route)
    views = {node.name: node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for call in module.calls:
        owner, _, method = dotted(call.func).rpartition(".")
        if method == "add_url_rule" and call.args and isinstance(path := literal(call.args[0]), str):
            view = next((k.value for k in call.keywords if k.arg == "view_func"), (*call.args[2:3], None)[0])
            function = views.get(dotted(view)) if view is not None else None
            if _takes_get(call):
                found.append(_of_view(module, path, owner, call, function))
    return [route for route in found if "<" not in route.path and "{" not in route.path]


def _route(module: Syntax, decorator: ast.expr, function: _Function) -> Route | None:
    if not isinstance(decorator, ast.Call) or not isinstance(
        path := literal(decorator.args[0] if decorator.args else None), str
    ):
        return None
    owner, _, method = dotted(decorator.func).rpartition(".")
    if not owner or method not in ("route", "get") or not _takes_get(decorator):
        return None
    return _of_view(module, path, owner, decorator, function)


def _takes_get(call: ast.Call) -> bool:
    return "GET" in (literal(next((k.value for k in call.keywords if k.arg == "methods"), None)) or ["GET"])


def _of_view(module: Syntax, path: str, owner: str, call: ast.Call, function: _Function | None) -> Route:
    login = function is not None and any(
        re.search(r"login|auth|jwt|require|permission|admin", ast.unparse(decorator))
        for decorator in function.decorator_list
        if not (isinstance(decorator, ast.Call) and decorator.args and isinstance(literal(decorator.args[0]), str))
    )
    login = login or (function is not None and "login" not in path + function.name and _may_lead_to_login(function))
    redirects = any(k.arg == "redirect_to" for k in call.keywords) or (
        function is not None and always_redirects(function)
    )
    return Route(path, identity(module, owner), login, module.place(call), redirects)


def _may_lead_to_login(function: _Function) -> bool:
    """Return whether a view redirects to a login in some case."""
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return any(
        _is_redirect(value, {}) and re.search(r"login|sign_?in", ast.unparse(value)) for value in returned if value
    )


def always_redirects(function: _Function) -> bool:
    """Return whether a view ends with a redirect in each case."""
    own: list[ast.AST] = []
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            own.append(node)
            left += ast.iter_child_nodes(node)
    values: dict[str, list[ast.expr]] = {}
    for node in own:
        for name, value in assigned(node) if isinstance(node, ast.Assign) else ():
            values.setdefault(name, []).append(value)
    returned = [node.value for node in own if isinstance(node, ast.Return)]
    return bool(returned) and all(_is_redirect(value, values) for value in returned)


def _is_redirect(node: ast.expr | None, values: dict[str, list[ast.expr]]) -> bool:
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        status = literal(node.elts[1])
        return isinstance(status, int) and 300 < status < 400
    if isinstance(node, ast.Await):
        node = node.value
    if isinstance(node, ast.Name):
        found = values.get(node.id, [])
        return bool(found) and all(_is_redirect(value, {}) for value in found)
    if not isinstance(node, ast.Call):
        return False
    name = dotted(node.func).rpartition(".")[2]
    return name in _REDIRECTS or (name == "make_response" and bool(node.args) and _is_redirect(node.args[0], values))
