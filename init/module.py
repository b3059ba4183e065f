"""What one Python module of the app has, by its syntax tree; no code of the app runs."""

import ast
from collections.abc import Iterator
from functools import cached_property

from init.apps import App, find_apps, top_level
from init.reads import Read, find_reads
from init.routes import Registered, Route, find_blueprints, find_registered, find_routes, identity
from init.syntax import Syntax, dotted
from init.uses import Uses

# Methods that add routes to an app.
_ADDS = {"route", "get", "post", "put", "delete", "patch", "add_url_rule", "register_blueprint", "add_api"}


class Module(Syntax):
    """A parsed module, with what is found in it."""

    @cached_property
    def reads(self) -> list[Read]:
        """The environment variables that it reads."""
        return find_reads(self, self.uses)

    @cached_property
    def uses(self) -> Uses:
        """What it uses as a database's URL, or as parts of its address."""
        return Uses(self)

    @cached_property
    def apps(self) -> list[App]:
        """The app objects at the top level, and the functions that create one."""
        return find_apps(self)

    @cached_property
    def blueprints(self) -> dict[str, str | None]:
        """The identities of its blueprints and routers, and their prefixes."""
        return find_blueprints(self)

    @cached_property
    def registered(self) -> dict[str, Registered]:
        """The identities of blueprints and routers that it registers, and where."""
        return find_registered(self)

    @cached_property
    def routes(self) -> list[Route]:
        """Its routes for GET without variable parts."""
        return find_routes(self)

    @cached_property
    def called(self) -> set[str]:
        """The identities of what it calls when it is imported."""
        return {identity(self, dotted(call.func)) for call in self._calls_at_import()}

    @cached_property
    def completed(self) -> set[str]:
        """The identities of what it adds routes to when it is imported."""
        decorators = [
            node
            for statement in top_level(self.tree.body)
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in statement.decorator_list
            if isinstance(node, ast.Call)
        ]
        names = (dotted(call.func).rpartition(".") for call in (*decorators, *self._calls_at_import()))
        return {identity(self, owner) for owner, _, method in names if owner and method in _ADDS}

    @cached_property
    def passed(self) -> list[tuple[str, str]]:
        """The identities of what it calls with a name when it is imported, each with that of the name."""
        return [
            (identity(self, dotted(call.func)), identity(self, name))
            for call in self._calls_at_import()
            for argument in (*call.args, *(keyword.value for keyword in call.keywords))
            if (name := dotted(argument))
        ]

    @cached_property
    def adders(self) -> list[tuple[ast.FunctionDef, set[str]]]:
        """Its functions that add routes to an app, each with the identities of the app or of the factory that it calls for it."""
        functions = [node for node in top_level(self.tree.body) if isinstance(node, ast.FunctionDef)]
        return [(function, owners) for function in functions if (owners := self._owners(function))]

    def _owners(self, function: ast.FunctionDef) -> set[str]:
        arguments = function.args
        names = {one.arg: "" for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        found = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                made = identity(self, dotted(node.value.func)) if isinstance(node.value, ast.Call) else ""
                names |= {target.id: made for target in node.targets if isinstance(target, ast.Name)}
        for node in ast.walk(function):
            owner, _, method = dotted(node.func).rpartition(".") if isinstance(node, ast.Call) else ("", "", "")
            if owner and method in _ADDS:
                found.add(names[owner] if owner in names else identity(self, owner))
        return found - {""}

    def _calls_at_import(self) -> Iterator[ast.Call]:
        for statement in top_level(self.tree.body):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                continue
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))
