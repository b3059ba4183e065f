"""Workers, schedulers and their like."""

import re

from init.commands import BUILD, HEALTH, RELEASE, WEB, Command, simple
from init.hints import Hints
from init.report import Report

_SINGLE = re.compile(r"beat|sched|clock|cron|periodic")
# Programs of development and of other services.
_NOT_OURS = {
    "npm",
    "yarn",
    "node",
    "webpack",
    "redis-server",
    "postgres",
    "mysqld",
    "nginx",
    "sh",
    "bash",
    "sleep",
    "tail",
}
_WORKERS = {
    "celery",
    "rq",
    "dramatiq",
    "huey_consumer",
    "huey_consumer.py",
    "arq",
    "taskiq",
    "flask",
    "python",
    "python3",
}


def detect(hints: Hints, report: Report) -> None:
    """Set app_processes and app_single_processes by a Procfile, else by the services of a Compose file."""
    own = (WEB, BUILD, RELEASE, HEALTH)
    found = [command for command in hints.commands if command.name not in own and not command.server]
    in_procfile = [command for command in found if "Procfile" in command.place.path]
    for command in in_procfile or [command for command in found if command.program in _WORKERS]:
        name = re.sub(r"[^a-z0-9]+", "-", command.name.lower()).strip("-")[:20].rstrip("-")
        if not re.fullmatch(r"[a-z](?:-?[a-z0-9]){0,19}", name) or command.program in _NOT_OURS:
            continue
        single = bool(_SINGLE.search(command.name) or _is_scheduler(command))
        setting = "app_single_processes" if single else "app_processes"
        report.add(
            setting,
            {name: simple(command, report.get("app_environment", {}))},
            f"the process '{command.name}'" + (", on one host only" if single else ""),
            command.place,
        )


def _is_scheduler(command: Command) -> bool:
    return command.program == "celery" and (
        "beat" in command.words or "-B" in command.words or "--beat" in command.words
    )
