"""The routes of Connexion, which are in an OpenAPI document."""

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from init.project import Project
from init.routes import Route
from init.syntax import dotted, literal


def find_routes(project: Project, subdir: str) -> list[Route]:
    """Return the routes for GET without variable parts of the documents that the app's code adds."""
    found = []
    for module in project.modules.values():
        for call in module.calls:
            name = literal(call.args[0]) if call.args else None
            if dotted(call.func).rpartition(".")[2] == "add_api" and isinstance(name, str):
                given = literal(next((k.value for k in call.keywords if k.arg == "base_path"), None))
                base = given if isinstance(given, str) else None
                for path in project.named(r".*\.(?:ya?ml|json)"):
                    if path.endswith(name.lstrip("./")) and PurePosixPath(path).is_relative_to(subdir or "."):
                        found += _routes_of(project, path, base)
    return found


def _routes_of(project: Project, path: str, base: str | None) -> list[Route]:
    try:
        content = yaml.safe_load(project.text(path))
    except (yaml.YAMLError, RecursionError):
        return []
    document = _mapping(content)
    servers = document.get("servers")
    server = _mapping(servers[0]).get("url") if isinstance(servers, list) and servers else ""
    prefix = base if base is not None else str(document.get("basePath") or urlsplit(str(server or "")).path)
    return [
        Route(
            f"{prefix.rstrip('/')}{name}",
            "",
            bool(_mapping(operations["get"]).get("security", document.get("security"))),
            place,
        )
        for name, operations in _mapping(document.get("paths")).items()
        if isinstance(operations, dict) and "get" in operations and "{" not in name
        for place in [project.place(path, f"{name}:")]
    ]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
