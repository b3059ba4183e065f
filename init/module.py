"""What one Python module of the app has, by its syntax tree; no code of the app runs."""

from functools import cached_property

from init.apps import App, find_apps
from init.reads import Read, find_reads
from init.routes import Route, find_blueprints, find_registered, find_routes
from init.syntax import Syntax


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
