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
_APP_CLASSES = ASGI_CLASSES | {
    "Flask": "Flask",
    "APIFlask": "Flask",
    "OpenAPI": "Flask",
    "Bottle": "Bottle",
    "Eve": "Flask",
}
FACTORY = re.compile(r"(?:create|make|build|init|get)_?(?:\w+_)?(?:app|application|wsgi|server)|app_factory|factory")


@dataclass(frozen=True)
class App:
    """An app object, or a function that returns one; `arguments` is whether the function needs arguments."""

    attribute: str
    framework: str
    factory: bool
    arguments: bool
    place: Place
    options: dict[str, Any]


def find_apps(module: Syntax) -> list[App]:
    """Return the app objects at the top level of a module, and the functions that create one."""
    classes = dict(_APP_CLASSES)
    for node in module.nodes:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if (name := dotted(base).rpartition(".")[2]) in classes:
                    classes[node.name] = classes[name]
    found = []
    for statement in _top_level(module.tree.body):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            called = dotted(statement.value.func).rpartition(".")[2]
            framework = classes.get(called) or ("" if FACTORY.fullmatch(called) else None)
            if called in ("get_wsgi_application", "get_asgi_application"):
                framework = "Django"
            for target in targets:
                if isinstance(target, ast.Name) and framework is not None:
                    options = {k.arg: literal(k.value) for k in statement.value.keywords if k.arg}
                    found.append(App(target.id, framework, False, False, module.place(statement), options))
        elif isinstance(statement, ast.FunctionDef) and (factory := _factory(module, statement, classes)):
            found.append(factory)
    return found


def _factory(module: Syntax, function: ast.FunctionDef, classes: dict[str, str]) -> App | None:
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
    return App(function.name, made[0][0] if made else "", True, required > 0, module.place(function), options)


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
