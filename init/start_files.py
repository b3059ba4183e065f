"""The files that start the app elsewhere: Procfiles, Dockerfiles, Compose files, files with variables, and scripts."""

import re
from pathlib import PurePosixPath

from init.commands import split
from init.compose import read_compose
from init.docker import read_dockerfile
from init.hints import MOST_SCRIPTS, Hints
from init.project import Project
from init.report import Place
from init.scripts import read_script

_DEEPEST = 2
# Names of scripts that nothing else in the repository has to run.
_USUAL = re.compile(r"(?:docker-)?(?:entrypoint|boot|start|run|run-server|gunicorn|prestart)(?:\.sh)?")


def read_hints(project: Project) -> Hints:
    """Return the hints of a repository."""
    hints = Hints()
    for path in project.named(r"Procfile"):
        _read_procfile(project, path, hints)
    for path in project.named(r"(?:prod\w*\.)?Dockerfile(?:\.prod\w*)?|Containerfile"):
        read_dockerfile(project, path, hints)
    for path in project.named(r"(?:docker-)?compose(?:[.-]prod\w*)?\.ya?ml"):
        read_compose(project, path, hints)
    for path in project.named(r"\.flaskenv|\.env\.(?:example|sample|template|dist)|(?:example|sample)\.env|\.env"):
        for number, line in enumerate(project.text(path).splitlines(), 1):
            if found := re.match(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", line.strip()):
                hints.variables.setdefault(found[1], (found[2].strip().strip("\"'"), Place(path, number)))
    _read_scripts(project, hints)
    return hints


def _read_procfile(project: Project, path: str, hints: Hints) -> None:
    for number, line in enumerate(project.text(path).splitlines(), 1):
        if found := re.match(r"([\w-]+):\s*(.+)", line):
            hints.start(split(found[1], found[2], Place(path, number)))


def _read_scripts(project: Project, hints: Hints) -> None:
    """Add the shell scripts that other commands run, and those with the usual names."""
    named = {path: PurePosixPath(path).name for path in project.named(r"[\w.-]+") if path.count("/") <= _DEEPEST}
    for _ in range(MOST_SCRIPTS):
        run = {PurePosixPath(word).name for command in hints.commands for word in command.words if word.endswith(".sh")}
        run |= {command.script for command in hints.commands}
        for path, name in named.items():
            if name not in hints.scripts and (name in run or _USUAL.fullmatch(name)):
                text = project.text(path)
                if text.startswith("#!") or name.endswith(".sh"):
                    read_script(name, text, path, 1, hints)
