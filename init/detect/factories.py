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
    """An app that no server can load as it is, with the reason, and an assignment of it, empty for none."""

    app: App
    module: Module
    reason: str
    assignment: str


def attribute(project: Project, module: Module, app: App) -> str:
    """Return the expression of an entry for an app; empty when there is none."""
    if app.inner or _completer(project, module, app):
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
    """Return an app that no server can load, near the top of the repository."""
    apps = [(module, app) for module in project.modules.values() for app in module.apps if app.framework]
    for reason in (_needs_arguments, _is_completed_later, _is_inner):
        for module, app in apps:
            if found := reason(project, module, app):
                return found
    return None


def _needs_arguments(project: Project, module: Module, app: App) -> Unready | None:
    if not app.factory or app.inner or attribute(project, module, app) or _completer(project, module, app):
        return None
    calls = _calls(project, module, app)
    reason = f"{app.attribute}({', '.join(app.parameters)}) creates the app, and a server can't give its arguments."
    if not calls:
        return Unready(app, module, reason, f"app = {app.attribute}(…)")
    caller, call = calls[0]
    text = ast.unparse(call)
    return Unready(app, module, f"{reason} {caller.place(call)} calls it: {text}.", f"app = {text}")


def _is_completed_later(project: Project, module: Module, app: App) -> Unready | None:
    if not (completer := _completer(project, module, app)):
        return None
    other, function = completer
    made = f"{app.attribute}()" if app.factory else app.attribute
    added = f"{function.name}() ({other.place(function)}) adds them"
    return Unready(app, module, f"{made} has no routes before {added}, and a server does not call that.", "")


def _is_inner(project: Project, module: Module, app: App) -> Unready | None:
    reason = f"{app.attribute}() creates the app and does not return it, so no server can load it."
    return Unready(app, module, reason, "") if app.inner else None


def _completer(project: Project, module: Module, app: App) -> tuple[Module, ast.FunctionDef] | None:
    """Return a function that adds the routes of an app and that no import calls, where nothing else adds them; None when there is none."""
    own = {f"{module.dotted}.{app.attribute}"}
    own |= {
        f"{module.dotted}.{other.attribute}"
        for other in module.apps
        if other.completed == app.attribute and not app.factory
    }
    modules = project.modules.values()
    passed = {name for other in modules for called, name in other.passed if _is_function(project, called)}
    if any(_has(project, {*passed, *other.completed}, one) for other in modules for one in own):
        return None
    found = [
        (other, function)
        for other in modules
        for function, owners in other.adders
        if any(_has(project, owners, one) for one in own)
        and f"{other.dotted}.{function.name}" != f"{module.dotted}.{app.attribute}"
    ]
    called = any(_has(project, other.called, f"{where.dotted}.{one.name}") for where, one in found for other in modules)
    return found[0] if found and not called else None


def _is_function(project: Project, name: str) -> bool:
    """Return whether a name is that of a function of the app; an extension of Flask is not."""
    package, _, last = _origin(project, name).rpartition(".")
    return any(
        isinstance(node, ast.FunctionDef) and node.name == last
        for module in project.modules.values()
        if module.dotted == package or module.dotted.endswith(f".{package}")
        for node in module.tree.body
    )


def _has(project: Project, identities: set[str], wanted: str) -> bool:
    """Return whether a name is among identities, which may be counted from another directory, or be imported under another name."""
    return any(
        one == wanted or (wanted.endswith(f".{one}") and "." in one)
        for identity_of_use in identities
        for one in (identity_of_use, _origin(project, identity_of_use))
    )


def _origin(project: Project, name: str) -> str:
    """Return the name that a package imports a name from, which it passes on; the name itself when it does not."""
    package, _, last = name.rpartition(".")
    paths = (f"{package.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))
    module = next((found for path in paths if (found := project.modules.get(path))), None)
    return module.aliases.get(last, name) if module else name


def _calls(project: Project, module: Module, app: App) -> list[tuple[Module, ast.Call]]:
    """Return the calls of a factory, each with the module that it is in."""
    own = f"{module.dotted}.{app.attribute}"
    return [
        (caller, call)
        for caller in project.modules.values()
        for call in caller.calls
        if dotted(call.func).rpartition(".")[2] == app.attribute
        and _has(project, {identity(caller, dotted(call.func))}, own)
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
