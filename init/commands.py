"""Commands that the repository starts the app with: Procfile, Dockerfile, Compose files and the scripts that they run."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from init.project import Project
from init.report import Place

# The role of a command that has no name.
WEB, BUILD, RELEASE, HEALTH = "web", "build", "release", "health"
_SERVERS = {"gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "uwsgi", "flask", "fastapi"}
# Programs that run another one.
_WRAPPERS = {
    "exec",
    "env",
    "dumb-init",
    "tini",
    "--",
    "gosu",
    "su-exec",
    "nohup",
    "time",
    "newrelic-admin",
    "run-program",
    "ddtrace-run",
    "-g",
}
_PYTHONS = {"python", "python3"}
# Programs that are started as modules, too.
_MODULES = {f"-m {name}" for name in ("gunicorn", "uvicorn", "hypercorn", "daphne", "flask", "celery")}
_RUNNERS = {"poetry", "uv", "pipenv", "pdm", "rye", "hatch"}
_FLAGS = {
    "--reload",
    "--preload",
    "--daemon",
    "-D",
    "--capture-output",
    "-R",
    "--enable-stdio-inheritance",
    "--no-sendfile",
    "--proxy-headers",
    "--factory",
}
ENTRY = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)(\([^()]*\))?")
_SEPARATORS = re.compile(r"\s*(?:&&|\|\||;)\s*")


@dataclass(frozen=True)
class Command:
    """A command, as words; `name` is its process in a Procfile or service in a Compose file, or WEB, BUILD, RELEASE or HEALTH."""

    name: str
    words: tuple[str, ...]
    text: str
    place: Place

    @property
    def program(self) -> str:
        """The program's name."""
        return PurePosixPath(self.words[0]).name if self.words else ""

    @property
    def server(self) -> bool:
        """Whether the command is a web server."""
        return self.program in _SERVERS and (self.program != "flask" or "run" in self.words)


@dataclass(frozen=True)
class Server:
    """What the command of a web server says: entry ("" for none), worker class, directory, timeout in seconds and workers (0 for none)."""

    entry: str
    worker_class: str
    directory: str
    timeout: int
    workers: int
    asgi: bool
    command: Command


@dataclass
class Hints:
    """The commands, variables and mounted directories of Docker and Compose files."""

    commands: list[Command] = field(default_factory=list)
    variables: dict[str, tuple[str, Place]] = field(default_factory=dict)
    directories: list[tuple[str, Place]] = field(default_factory=list)
    pythons: list[tuple[str, Place]] = field(default_factory=list)


def read_hints(project: Project) -> Hints:
    """Return the hints of a repository."""
    hints = Hints()
    for path in project.named(r"Procfile"):
        _read_procfile(project, path, hints)
    for path in project.named(r"(?:prod\w*\.)?Dockerfile(?:\.prod\w*)?|Containerfile"):
        _read_dockerfile(project, path, hints)
    for path in project.named(r"(?:docker-)?compose(?:[.-]prod\w*)?\.ya?ml"):
        _read_compose(project, path, hints)
    for path in project.named(r"\.flaskenv|\.env\.(?:example|sample|template|dist)|(?:example|sample)\.env|\.env"):
        for number, line in enumerate(project.text(path).splitlines(), 1):
            if found := re.match(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", line.strip()):
                hints.variables.setdefault(found[1], (found[2].strip().strip("\"'"), Place(path, number)))
    _read_scripts(project, hints)
    return hints


def servers(hints: Hints) -> list[Server]:
    """Return the web servers among the commands, those for production first."""
    found = [server for command in hints.commands if (server := parse_server(command))]
    return sorted(found, key=lambda server: (server.command.program == "flask", not server.entry))


def _read_procfile(project: Project, path: str, hints: Hints) -> None:
    for number, line in enumerate(project.text(path).splitlines(), 1):
        if found := re.match(r"([\w-]+):\s*(.+)", line):
            hints.commands += _commands(found[1], found[2], Place(path, number))


def _read_dockerfile(project: Project, path: str, hints: Hints) -> None:
    lines = project.text(path).splitlines()
    number, work = 0, PurePosixPath("/")
    while number < len(lines):
        start, line = number + 1, lines[number]
        while line.rstrip().endswith("\\") and number + 1 < len(lines):
            number += 1
            line = (
                f"{line.rstrip()[:-1]} {lines[number].strip()}" if not lines[number].lstrip().startswith("#") else line
            )
        number += 1
        instruction, _, rest = line.strip().partition(" ")
        place, rest = Place(path, start), rest.strip()
        match instruction.upper():
            case "FROM":
                if found := re.match(r"(?:\S+/)?python:(3\.\d+)", rest):
                    hints.pythons.append((found[1], place))
            case "WORKDIR":
                work = work / rest.strip("\"'")
            case "ENV":
                _read_env(rest, place, hints)
            case "RUN":
                hints.commands += _commands(BUILD, rest, place)
            case "CMD" | "ENTRYPOINT":
                hints.commands += _commands(WEB, _exec_form(rest), place)
            case "HEALTHCHECK":
                hints.commands += _commands(HEALTH, _exec_form(rest.partition("CMD")[2].strip()), place)
            case "VOLUME":
                for name in _exec_form(rest).split():
                    hints.directories.append((_inside(name, work), place))


def _read_env(rest: str, place: Place, hints: Hints) -> None:
    pairs = re.findall(r"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)", rest) or re.findall(r"^([A-Za-z_]\w*)\s+(.*)$", rest)
    for name, value in pairs:
        hints.variables.setdefault(name, (value.strip("\"'"), place))


def _exec_form(text: str) -> str:
    """Return a command in Docker's JSON form as one for a shell."""
    if text.startswith("["):
        try:
            return shlex.join(json.loads(text))
        except (ValueError, TypeError):
            return ""
    return text


def _inside(path: str, work: PurePosixPath) -> str:
    """Return a path of a container relative to the app's directory in it; empty when it is not inside."""
    full = work / path
    return str(full.relative_to(work)) if full.is_relative_to(work) and full != work else ""


def _read_compose(project: Project, path: str, hints: Hints) -> None:
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
            hints.commands += _commands(str(name), text, place)
        check = service.get("healthcheck")
        test = (check.get("test") or "") if isinstance(check, dict) else ""
        hints.commands += _commands(
            HEALTH, " ".join(map(str, test[1:])) if isinstance(test, list) else str(test), place
        )
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


def _read_scripts(project: Project, hints: Hints) -> None:
    """Add the commands of the shell scripts that other commands run, and of those with the usual names."""
    run = {PurePosixPath(word).name for command in hints.commands for word in command.words if word.endswith(".sh")}
    usual = r"(?:docker-)?(?:entrypoint|boot|start|run|run-server|gunicorn)(?:\.sh)?"
    for path in project.named(r"[\w.-]+"):
        name = PurePosixPath(path).name
        if path.count("/") > 2 or not (name in run or re.fullmatch(usual, name)):
            continue
        text = project.text(path)
        if not text.startswith("#!") and not name.endswith(".sh"):
            continue
        joined = _with_defaults(re.sub(r"\\\n\s*", " ", text), path, hints)
        for number, line in enumerate(joined.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                commands = _commands(WEB, re.sub(r"^\s*(?:then|do|else|if|while)\s+", "", line), Place(path, number))
                place = project.place(path, commands[-1].words[0]) if commands else Place(path)
                hints.commands += [
                    Command(c.name, c.words, c.text, place)
                    for c in commands
                    if c.server or c.program in ("flask", "alembic")
                ]


def _with_defaults(text: str, path: str, hints: Hints) -> str:
    """Return a script with the defaults of its variables, and add the variables to the hints."""
    defaults = dict(re.findall(r"\$\{(\w+):?-([^}$]*)\}", text))
    for name, value in defaults.items():
        line = text[: text.index(f"${{{name}")].count("\n") + 1
        hints.variables.setdefault(name, (value.strip("\"'"), Place(path, line)))
    text = re.sub(r"\$\{(\w+):?-([^}$]*)\}", r"\2", text)
    return re.sub(r"\$\{?(\w+)\}?", lambda found: defaults.get(found[1], found[0]), text)


def _commands(name: str, text: str, place: Place) -> list[Command]:
    """Return the commands of a line for a shell."""
    found = []
    for part in _SEPARATORS.split(text.strip()):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue
        if words[:2] in (["sh", "-c"], ["bash", "-c"], ["/bin/sh", "-c"], ["/bin/bash", "-c"]) and len(words) > 2:
            found += _commands(name, words[2], place)
        elif words := _unwrapped(words):
            found.append(Command(name, tuple(words), part, place))
    return found


def _unwrapped(words: list[str]) -> list[str]:
    """Return a command without the programs and variables in front of it."""
    words = list(words)
    while words:
        first = PurePosixPath(words[0]).name
        if first in _WRAPPERS or re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]) or words[0].startswith("--mount="):
            words = words[1:]
        elif (first in _RUNNERS and words[1:2] == ["run"]) or (first in _PYTHONS and " ".join(words[1:3]) in _MODULES):
            words = words[2:]
        else:
            break
    return words


def parse_server(command: Command) -> Server | None:
    """Return what a command of a web server says, None for another command."""
    if not command.server:
        return None
    options: dict[str, str] = {}
    words, rest = list(command.words[1:]), []
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" in word:
            name, _, options[name] = word.partition("=")
        elif word.startswith("-"):
            if words and (word in ("--app", "-A") or (word not in _FLAGS and not ENTRY.fullmatch(words[0]))):
                options[word] = words.pop(0)
        else:
            rest.append(word)
    worker = options.get("-k") or options.get("--worker-class") or ""
    entry = next((word for word in rest if ENTRY.fullmatch(word)), "")
    if command.program == "gunicorn" and not entry and rest and re.fullmatch(r"[A-Za-z_][\w.]*", rest[0]):
        entry = f"{rest[0]}:application"
    if command.program == "uwsgi":
        entry = options.get("-w") or options.get("--module") or entry
    if "--factory" in command.words and entry and not entry.endswith(")"):
        entry += "()"
    workers = options.get("-w") or options.get("--workers") or ""
    timeout = options.get("-t") or options.get("--timeout") or ""
    return Server(
        entry,
        worker if re.fullmatch(r"[\w.]+", worker) else "",
        options.get("--chdir", ""),
        int(timeout) if timeout.isdigit() else 0,
        int(workers) if workers.isdigit() else 0,
        command.program in ("uvicorn", "hypercorn", "daphne", "fastapi") or "uvicorn" in worker,
        command,
    )


def simple(command: Command, variables: Mapping[str, str]) -> str:
    """Return a command for the settings, with the values of known variables; in a shell where it needs one."""
    text = re.sub(
        r"\$\{?([A-Za-z_]\w*)\}?", lambda found: shlex.quote(str(variables.get(found[1], found[0]))), command.text
    )
    words = _unwrapped(shlex.split(text))
    if re.search(r"[|<>`*]|\$[({A-Za-z_]", text):
        return shlex.join(["sh", "-c", " ".join(word if "$" in word else shlex.quote(word) for word in words)])
    return shlex.join(words)
