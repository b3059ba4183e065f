"""What one Python module of the app has, by its syntax tree; no code of the app runs."""

import ast
from collections.abc import Iterator
from functools import cached_property

from init.apps import App, find_apps, top_level
from init.reads import Read, find_reads
from init.routes import Route, find_blueprints, find_registered, find_routes, identity
from init.syntax import Syntax, dotted


class Module(Syntax):
    """A parsed module, with what is found in it."""

    @cached_property
    def reads(self) -> list[Read]:
        """The environment variables that it reads."""
        return find_reads(self)

    @cached_property
    def apps(self) -> list[App]:
        """The app objects at the top level, and the functions that create one."""
        return find_apps(self)

    @cached_property
    def blueprints(self) -> dict[str, str]:
        """The identities of its blueprints and routers, and their prefixes."""
        return find_blueprints(self)

    @cached_property
    def registered(self) -> dict[str, str]:
        """The identities of blueprints and routers that it registers with a prefix, and the prefix."""
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
        """The identities of what it adds routes to, or passes to another function, when it is imported."""
        names = {
            dotted(node.func).rpartition(".")[0]
            for statement in top_level(self.tree.body)
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in statement.decorator_list
            if isinstance(node, ast.Call)
        }
        for call in self._calls_at_import():
            names |= {dotted(argument) for argument in (*call.args, *(k.value for k in call.keywords))}
            owner, _, method = dotted(call.func).rpartition(".")
            names |= {owner} if method in ("register_blueprint", "add_url_rule", "add_api") else set()
        return {identity(self, name) for name in names if name}

    def _calls_at_import(self) -> Iterator[ast.Call]:
        for statement in top_level(self.tree.body):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                continue
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))
