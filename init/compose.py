"""Compose files: the commands, variables and volumes of the services that are built from the repository."""

import shlex
from pathlib import PurePosixPath
from typing import Any

import yaml

from init.commands import HEALTH, split
from init.hints import Hints
from init.project import Project
from init.report import Place


def read_compose(project: Project, path: str, hints: Hints) -> None:
    """Add what a Compose file has to the hints."""
    try:
        services = (yaml.safe_load(project.text(path)) or {}).get("services") or {}
    except (yaml.YAMLError, AttributeError):
        return
    for name, service in services.items() if isinstance(services, dict) else ():
        if not isinstance(service, dict) or not service.get("build"):
            continue
        place = project.place(path, f"{name}:")
        for command in (service.get("entrypoint"), service.get("command")):
            text = shlex.join(map(str, command)) if isinstance(command, list) else str(command or "")
            hints.start(split(str(name), text, place))
        check = service.get("healthcheck")
        test = (check.get("test") or "") if isinstance(check, dict) else ""
        hints.commands += split(HEALTH, " ".join(map(str, test[1:])) if isinstance(test, list) else str(test), place)
        _read_compose_environment(service.get("environment") or {}, place, hints)
        volumes = service.get("volumes")
        for volume in volumes if isinstance(volumes, list) else []:
            if isinstance(volume, str) and volume.count(":") and not volume.startswith((".:", "./:", "./.:")):
                parts = PurePosixPath(volume.split(":")[1]).parts
                # The directory of the app in the image is not known here: it is the first part.
                hints.directories.append(("/".join(parts[2:]), place))


def _read_compose_environment(environment: Any, place: Place, hints: Hints) -> None:
    if isinstance(environment, list):
        environment = dict(str(line).partition("=")[::2] for line in environment)
    pairs = environment.items() if isinstance(environment, dict) else ()
    for name, value in pairs:
        hints.variables.setdefault(str(name), (str(value or ""), place))
