"""Apps that are complete only after a call: the arguments that their factories need, and what has to be written when a server can't give them."""

import ast
import re
from dataclasses import dataclass

from init.apps import App
from init.module import Module
from init.project import Project
from init.routes import identity
from init.syntax import dotted, literal

# Arguments that an entry may have, by the setting's own rule.
_ARGUMENTS = re.compile(r"[\w.,='/ -]*")
_DEVELOPMENT = re.compile(r"dev|test|debug|local", re.IGNORECASE)
_CONFIGURATION = re.compile(r"conf|setting", re.IGNORECASE)


@dataclass(frozen=True)
class Unready:
    """An app that no server can load as it is, with the reason, and an assignment of it."""

    app: App
    module: Module
    reason: str
    assignment: str


def attribute(project: Project, module: Module, app: App) -> str:
    """Return the expression of an entry for an app; empty when there is none."""
    if app.inner or _is_incomplete(project, module, app):
        return ""
    if not app.factory:
        return app.attribute
    calls = _calls(project, module, app)
    if app.required:
        texts = [text for _, call in calls if (text := _literal_arguments(call))]
        best = sorted(texts, key=lambda text: bool(_DEVELOPMENT.search(text)))
        return f"{app.attribute}({best[0]})" if best else ""
    return "" if calls and all(_passes_objects(caller, call) for caller, call in calls) else f"{app.attribute}()"


def unready(project: Project) -> Unready | None:
    """Return the first app that no server can load, near the top of the repository."""
    for module in project.modules.values():
        for app in module.apps:
            if app.inner:
                reason = f"{app.attribute}() creates the app and does not return it, so no server can load it."
                return Unready(app, module, reason, "app = …")
            if app.factory and app.framework and not attribute(project, module, app):
                calls = _calls(project, module, app)
                arguments = ", ".join(app.parameters)
                reason = f"{app.attribute}({arguments}) creates the app, and a server can't give its arguments."
                if calls:
                    caller, call = calls[0]
                    reason = f"{reason} {caller.place(call)} calls it: {ast.unparse(call)}."
                return Unready(
                    app, module, reason, f"app = {ast.unparse(calls[0][1]) if calls else f'{app.attribute}(…)'}"
                )
    return None


def _is_incomplete(project: Project, module: Module, app: App) -> bool:
    """Return whether an app object gets its routes from a function that nothing calls when modules are imported."""
    if app.factory or not app.makers:
        return False
    modules = project.modules.values()
    own = f"{module.dotted}.{app.attribute}"
    makers = {f"{module.dotted}.{maker}" for maker in app.makers}
    return not any(
        _has(other.completed, own) or any(_has(other.called, maker) for maker in makers) for other in modules
    )


def _has(identities: set[str], wanted: str) -> bool:
    """Return whether a name is among identities, which may be counted from another directory."""
    return any(one == wanted or (wanted.endswith(f".{one}") and "." in one) for one in identities)


def _calls(project: Project, module: Module, app: App) -> list[tuple[Module, ast.Call]]:
    """Return the calls of a factory, each with the module that it is in."""
    own = f"{module.dotted}.{app.attribute}"
    return [
        (caller, call)
        for caller in project.modules.values()
        for call in caller.calls
        if dotted(call.func).rpartition(".")[2] == app.attribute and _has({identity(caller, dotted(call.func))}, own)
    ]


def _literal_arguments(call: ast.Call) -> str:
    """Return the arguments of a call as a text for an entry; empty for none, and for those that are no literals."""
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(literal(value) is None for value in values) or any(keyword.arg is None for keyword in call.keywords):
        return ""
    text = ", ".join([*map(ast.unparse, call.args), *map(ast.unparse, call.keywords)])
    return text if _ARGUMENTS.fullmatch(text) else ""


def _passes_objects(caller: Module, call: ast.Call) -> bool:
    """Return whether a call passes an object that its caller creates, other than a configuration."""
    for value in (*call.args, *(keyword.value for keyword in call.keywords)):
        created = caller.values.get(value.id) if isinstance(value, ast.Name) else value
        if isinstance(created, ast.Call):
            name = dotted(created.func)
            if name.rpartition(".")[2][:1].isupper() and not _CONFIGURATION.search(name):
                return True
    return False
