"""The path of the health check: one of the app's own, else a page that needs no login."""

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from init import openapi
from init.apps import DASH
from init.commands import HEALTH
from init.detect.entry import Entry
from init.hints import Hints
from init.module import Module
from init.project import Project
from init.report import Report
from init.routes import Registered, Route, always_redirects

# Blueprints inside one another.
_DEEPEST = 5
_NONE = object()

# The usual paths, the words of others, and the parts of a path that may be a health check's.
_CHECKS = re.compile(r"/(?:[\w-]+/)*_?(?:healthz?|health[-_]?check|livez|readyz|livecheck|heartbeat|ping|up|status)/?")
_WORDS = frozenset(
    [
        "health",
        "healthz",
        "healthcheck",
        "heartbeat",
        "livez",
        "livecheck",
        "liveness",
        "readyz",
        "readycheck",
        "readiness",
        "alive",
        "ping",
    ]
)
_PARTS = frozenset(["live", "ready", "status"])
_DJANGO_PATH = re.compile(r"""path\(\s*["']([\w/-]*)["']\s*,\s*([\w.]+)""")


def detect(project: Project, entry: Entry, hints: Hints, report: Report) -> None:
    """Set app_health_path."""
    routes = _routes(project, entry)
    refused = {route.path for route in routes if route.login or route.redirects}
    for command in hints.commands:
        found = re.search(r"https?://[^/\s\"']+(/[\w./-]*)", command.text) if command.name == HEALTH else None
        # A tool that follows redirects gets the page that one leads to, such as a login.
        if found and found[1] not in refused:
            report.add("app_health_path", found[1], "the image's health check", command.place)
            return
    if entry.framework == DASH:
        report.add("app_health_path", _first_page_of_dash(project), "Dash's first page")
        return
    checks = sorted(
        (route for route in routes if _rank(route.path) and route.path not in refused),
        key=lambda route: (_rank(route.path), "health" not in route.path, len(route.path)),
    )
    if checks:
        report.add("app_health_path", checks[0].path, "a health check", checks[0].place)
        return
    home = next((route for route in routes if route.path == "/"), None)
    if home and home.path not in refused:
        report.add("app_health_path", "/", "a page without a login", home.place)
        return
    for route in sorted(routes, key=lambda route: ("login" not in route.path, len(route.path))):
        if route.path not in refused and route.path != "/" and "login" in route.path:
            why = "; the site's first page needs one" if home and home.login else ""
            report.add("app_health_path", route.path, f"a page without a login{why}", route.place)
            return
    if entry.framework == "Django":
        _detect_of_django(project, report)
    pages = sorted(
        (route for route in routes if route.path not in refused and route.path.strip("/")),
        key=lambda route: len(route.path),
    )
    redirected = home is not None and home.redirects
    if (not home or redirected) and pages and "app_health_path" not in report.findings:
        report.add("app_health_path", pages[0].path, "a page without a login, as far as can be seen", pages[0].place)
    if redirected and "app_health_path" not in report.findings:
        report.note(
            "no page of the app responds with 200, as far as can be seen: the first one redirects. Add a health check to the app, and set "
            "app_health_path.",
            home.place,
            unless="app_health_path",
        )
        return
    report.add("app_health_path", "/", "no health check was found")
    path = report.get("app_health_path")
    report.note(
        f"app_health_path is {path}, because no health check was found. It has to respond with 200, not with a redirect.",
        unless="app_health_path",
    )


def _rank(path: str) -> int:
    """Return how likely a path is a health check: 1 for the usual ones, 0 for one that is none."""
    parts = [part for part in path.lower().split("/") if part]
    if _CHECKS.fullmatch(path):
        return 1
    if any(_WORDS & set(re.split(r"[^a-z]+", part)) for part in parts):
        return 2
    return 3 if _PARTS & {part.strip("_") for part in parts} else 0


def _first_page_of_dash(project: Project) -> str:
    """Return the path that an app of Dash is at."""
    options = (app.options for module in project.modules.values() for app in module.apps if app.framework == DASH)
    named = (one.get("url_base_pathname") or one.get("routes_pathname_prefix") for one in options)
    return next((path for path in named if isinstance(path, str)), "/")


def _detect_of_django(project: Project, report: Report) -> None:
    redirects = {
        node.name
        for module in project.modules.values()
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and always_redirects(node)
    }
    found = [
        (text, project.place(path, match[0]))
        for path in project.named(r"urls\.py")
        for match in _DJANGO_PATH.finditer(project.text(path))
        for text, view in [match.groups()]
        if not ({"RedirectView"} | redirects) & set(view.split(".")) and "include" not in view
    ]
    # The admin's first page needs a login.
    admin = [
        ("admin/login/", project.place(path, "admin.site.urls"))
        for path in project.named(r"urls\.py")
        if re.search(r"path\(\s*[\"']admin/[\"']", project.text(path))
    ]
    checks = sorted((one for one in found if _rank(f"/{one[0]}")), key=lambda one: (_rank(f"/{one[0]}"), len(one[0])))
    for text, place in [*checks, *(one for one in found if one[0] == ""), *admin]:
        report.add("app_health_path", f"/{text}", "a page without a login, as far as can be seen", place)
        return


def _routes(project: Project, entry: Entry) -> list[Route]:
    """Return the app's routes with the prefixes of their blueprints."""
    modules = [
        module for path, module in project.modules.items() if not entry.subdir or path.startswith(f"{entry.subdir}/")
    ]
    prefixes = _Prefixes(modules)
    found = [
        replace(route, path=f"{prefix.rstrip('/')}{route.path}")
        for module in modules
        for route in module.routes
        if (prefix := prefixes.of(route.owner)) is not None
    ]
    return [*found, *openapi.find_routes(project, entry.subdir)]


class _Prefixes:
    """The prefixes of the blueprints and routers of modules."""

    def __init__(self, modules: list[Module]) -> None:
        self._own: dict[str, str | None] = {}
        self._registered: dict[str, Registered] = {}
        for module in modules:
            self._own |= module.blueprints
            self._registered |= module.registered

    def of(self, owner: str, depth: int = 0) -> str | None:
        """Return the prefix of what a blueprint's identity stands for, with those around it; "" for an app, None for one that the code computes."""
        own = _lookup(self._own, owner, "")
        registered = _lookup(self._registered, owner, None)
        if registered is None:
            return own
        prefix = registered.prefix
        if registered.adds and prefix is not None and own is not None:
            prefix += own
        elif prefix == "":
            prefix = own
        # A blueprint in another one.
        nested = depth < _DEEPEST and _lookup(self._own, registered.owner, _NONE) is not _NONE
        outer = self.of(registered.owner, depth + 1) if nested else ""
        return None if prefix is None or outer is None else f"{outer.rstrip('/')}{prefix}"


def _lookup(table: Mapping[str, Any], owner: str, default: Any) -> Any:
    """Return the entry of a blueprint by its identity, of which one may be counted from another directory."""
    for identity, value in table.items():
        if identity == owner or identity.endswith(f".{owner}") or owner.endswith(f".{identity}"):
            return value
    return default
