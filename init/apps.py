"""The apps that a module of the app creates."""

import ast
import re
from dataclasses import dataclass
from typing import Any

from init.report import Place
from init.syntax import Syntax, dotted, literal

ASGI_CLASSES = {
    "FastAPI": "FastAPI",
    "Starlette": "Starlette",
    "Quart": "Quart",
    "Litestar": "Litestar",
    "APIStar": "ASGI",
}
DASH, CONNEXION = "Dash", "Connexion"
# Its apps are WSGI apps before version 3, and ASGI apps from then on.
CONNEXION_3 = "Connexion 3"
_APP_CLASSES = ASGI_CLASSES | {
    "Flask": "Flask",
    "APIFlask": "Flask",
    "OpenAPI": "Flask",
    "Bottle": "Bottle",
    "Eve": "Flask",
    "Dash": DASH,
    "DashProxy": DASH,
}
FACTORY = re.compile(r"(?:create|make|build|init|get)_?(?:\w+_)?(?:app|application|wsgi|server)|app_factory|factory")


@dataclass(frozen=True)
class App:
    """An app object, or a function that creates one.

    `parameters` are those of the function, `required` the number that it needs, and `completed` the object that it returns, if the module
    creates that. `inner` is an app that a function creates and does not return. `server` is the attribute that a WSGI server needs of it.
    """

    attribute: str
    framework: str
    factory: bool
    place: Place
    options: dict[str, Any]
    parameters: tuple[str, ...] = ()
    required: int = 0
    completed: str = ""
    inner: bool = False
    server: str = ""


def find_apps(module: Syntax) -> list[App]:
    """Return the app objects at the top level of a module, and the functions that create one."""
    classes = _classes(module)
    found: list[App] = []
    for statement in top_level(module.tree.body):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            found += _objects(module, statement, classes, found)
        elif isinstance(statement, ast.FunctionDef):
            known = {app.attribute: app.framework for app in found if not app.factory}
            found += _factory(module, statement, classes, known)
    return [app for app in found if not _is_served_by_name(app, found)]


def top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return statements, with those inside of if, try and with."""
    found = []
    for statement in body:
        found.append(statement)
        if isinstance(statement, ast.If | ast.Try | ast.With):
            if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
                continue
            found += top_level([*statement.body, *getattr(statement, "orelse", [])])
    return found


def _classes(module: Syntax) -> dict[str, str]:
    """Return the classes of apps by their names in the module, with their frameworks."""
    classes = dict(_APP_CLASSES)
    if "connexion" in module.imported:
        classes |= dict.fromkeys(("FlaskApp", "App", "AsyncApp"), CONNEXION)
    for node in module.nodes:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if (name := dotted(base).rpartition(".")[2]) in classes:
                    classes[node.name] = classes[name]
    return classes


def _created(module: Syntax, node: ast.expr | None, classes: dict[str, str]) -> str | None:
    """Return the framework of the app that an expression creates, "" for an unknown one, None for another expression."""
    if not isinstance(node, ast.Call):
        return None
    called = dotted(node.func).rpartition(".")[2]
    if called in ("get_wsgi_application", "get_asgi_application"):
        return "Django"
    framework = classes.get(called)
    # An app of Dash or Connexion in one of Flask is served by that; a class of another package may have the name App.
    if framework == DASH and any(k.arg == "server" and literal(k.value) is not True for k in node.keywords):
        return None
    if framework == CONNEXION and not module.full(node.func).startswith("connexion.") and called == "App":
        return None
    return framework if framework is not None else "" if FACTORY.fullmatch(called) else None


def _objects(
    module: Syntax, statement: ast.Assign | ast.AnnAssign, classes: dict[str, str], before: list[App]
) -> list[App]:
    value = statement.value
    names = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    targets = [target.id for target in names if isinstance(target, ast.Name)]
    place = module.place(statement)
    if isinstance(value, ast.Attribute):
        # Such as server = app.server of Dash.
        owners = {f"{app.attribute}.{app.server}": app for app in before if not app.factory and app.server}
        owner = owners.get(dotted(value))
        return [App(target, owner.framework, False, place, owner.options) for target in targets] if owner else []
    framework = _created(module, value, classes)
    if framework is None or not isinstance(value, ast.Call):
        return []
    options = {k.arg: literal(k.value) for k in value.keywords if k.arg}
    server = "server" if framework == DASH else ""
    return [App(target, framework, False, place, options, server=server) for target in targets]


def _is_served_by_name(app: App, others: list[App]) -> bool:
    """Return whether the module has a name for the server of an app of Dash."""
    return bool(app.server) and any(other.framework == app.framework and not other.server for other in others)


def _factory(module: Syntax, function: ast.FunctionDef, classes: dict[str, str], known: dict[str, str]) -> list[App]:
    """Return the app that a function creates or completes; none for another function."""
    made = [
        (framework, node)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and (framework := _created(module, node, classes))
    ]
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    completed = [name for value in returned if (name := dotted(value)) in known]
    if function.decorator_list or not (made or completed or (returned and FACTORY.fullmatch(function.name))):
        return []
    framework = made[0][0] if made else known[completed[0]] if completed else ""
    options = {k.arg: literal(k.value) for k in made[0][1].keywords if k.arg} if made else {}
    named = function.args
    parameters = (*named.posonlyargs, *named.args, *named.kwonlyargs)
    required = len(named.posonlyargs) + len(named.args) - len(named.defaults)
    required += sum(default is None for default in named.kw_defaults)
    has_server = any(dotted(value).endswith(".server") for value in returned)
    return [
        App(
            function.name,
            framework,
            True,
            module.place(function),
            options,
            tuple(parameter.arg for parameter in parameters),
            required,
            completed=completed[0] if completed else "",
            inner=not returned,
            server="server" if framework == DASH and not has_server else "",
        )
    ]
