"""The path of the health check: one of the app's own, else a page that needs no login."""

import re

from init import openapi
from init.apps import DASH
from init.commands import HEALTH
from init.detect.entry import Entry
from init.hints import Hints
from init.project import Project
from init.report import Report
from init.routes import Route

_CHECKS = re.compile(r"/(?:[\w-]+/)*_?(?:healthz?|health[-_]?check|livez|readyz|livecheck|heartbeat|ping|up|status)/?")


def detect(project: Project, entry: Entry, hints: Hints, report: Report) -> None:
    """Set app_health_path."""
    routes = _routes(project, entry)
    with_login = {route.path for route in routes if route.login}
    for command in hints.commands:
        found = re.search(r"https?://[^/\s\"']+(/[\w./-]*)", command.text) if command.name == HEALTH else None
        # A tool that follows redirects gets the page of the login.
        if found and found[1] not in with_login:
            report.add("app_health_path", found[1], "the image's health check", command.place)
            return
    if entry.framework == DASH:
        report.add("app_health_path", _first_page_of_dash(project), "Dash's first page")
        return
    checks = sorted(
        (route for route in routes if _CHECKS.fullmatch(route.path) and not route.login),
        key=lambda route: ("health" not in route.path, len(route.path)),
    )
    if checks:
        report.add("app_health_path", checks[0].path, "a health check", checks[0].place)
        return
    home = next((route for route in routes if route.path == "/"), None)
    if home and not home.login:
        report.add("app_health_path", "/", "a page without a login", home.place)
        return
    for route in sorted(routes, key=lambda route: ("login" not in route.path, len(route.path))):
        if not route.login and route.path != "/" and "login" in route.path:
            report.add(
                "app_health_path", route.path, "a page without a login; the site's first page needs one", route.place
            )
            return
    if entry.framework == "Django":
        _detect_of_django(project, report)
    pages = sorted(
        (route for route in routes if not route.login and route.path.strip("/")), key=lambda route: len(route.path)
    )
    if not home and pages and "app_health_path" not in report.findings:
        report.add("app_health_path", pages[0].path, "a page without a login, as far as can be seen", pages[0].place)
    report.add("app_health_path", "/", "no health check was found")
    path = report.get("app_health_path")
    report.note(
        f"app_health_path is {path}, because no health check was found. It has to respond with 200, not with a redirect.",
        unless="app_health_path",
    )


def _first_page_of_dash(project: Project) -> str:
    """Return the path that an app of Dash is at."""
    options = (app.options for module in project.modules.values() for app in module.apps if app.framework == DASH)
    named = (one.get("url_base_pathname") or one.get("routes_pathname_prefix") for one in options)
    return next((path for path in named if isinstance(path, str)), "/")


def _detect_of_django(project: Project, report: Report) -> None:
    for path in project.named(r"urls\.py"):
        text = project.text(path)
        for pattern in (
            r"path\(\s*[\"']((?:[\w-]+/)*_?health[\w-]*/?)[\"']",
            r"path\(\s*[\"']()[\"']",
            r"path\(\s*[\"'](admin/)[\"']",
        ):
            if found := re.search(pattern, text):
                tail = "login/" if found[1] == "admin/" else ""
                report.add(
                    "app_health_path",
                    f"/{found[1]}{tail}",
                    "a page without a login, as far as can be seen",
                    project.place(path, found[0]),
                )
                return


def _routes(project: Project, entry: Entry) -> list[Route]:
    """Return the app's routes with the prefixes of their blueprints."""
    modules = [
        module for path, module in project.modules.items() if not entry.subdir or path.startswith(f"{entry.subdir}/")
    ]
    prefixes: dict[str, str] = {}
    for module in modules:
        prefixes |= module.blueprints
    registered: dict[str, str] = {}
    for module in modules:
        registered |= module.registered
    found = []
    for module in modules:
        for route in module.routes:
            prefix = _lookup(registered, route.owner) or _lookup(prefixes, route.owner) or ""
            found.append(Route(f"{prefix.rstrip('/')}{route.path}", route.owner, route.login, route.place))
    return [*found, *openapi.find_routes(project, entry.subdir)]


def _lookup(prefixes: dict[str, str], owner: str) -> str | None:
    """Return the prefix of a blueprint by its identity, of which one may be counted from another directory."""
    for identity, prefix in prefixes.items():
        if identity == owner or identity.endswith(f".{owner}") or owner.endswith(f".{identity}"):
            return prefix
    return None
