"""The steps that a start script, a Procfile or an image runs in front of the web server: set-up commands, in their order."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from init.commands import PYTHONS, Command, simple
from init.detect.entry import Entry, has_requirements
from init.hints import Hints
from init.project import Project, table
from init.report import Place, Report

MIGRATION = re.compile(r"\bdb upgrade\b|\balembic upgrade\b|manage\.py migrate\b")
# Those of the build, and those that write files of the repository.
_BUILD = re.compile(r"\b(?:compile\w*|collectstatic|assets|digest)\b|\bdb (?:init|migrate|revision|merge|stamp)\b")
# The database is up before set-up commands run.
_WAITS = re.compile(r"\b(?:wait|ping|check_?db|\w*pre_?start)", re.IGNORECASE)
_DELETES = re.compile(
    r"drop|reset|recreate|destroy|wipe|purge|flush|truncate|\bclear|\binit[-_]?(?:db|database)\b|\bcreate[-_]?db\b|loaddata|fake|demo|sample"
)


# The app's own command that creates its tables.
INITIAL = re.compile(r"(?:init|create)[-_]?(?:db|database|tables)?")


@dataclass(frozen=True)
class Migrations:
    """The command of the app's migrations with its reason, and the one that shows the schema's revision, empty for none."""

    command: str
    reason: str
    place: Place
    schema_command: str
    schema_reason: str


def detect(project: Project, entry: Entry, hints: Hints, migrations: Migrations | None, report: Report) -> None:
    """Add the app's migrations and the steps to app_setup_commands.

    A container runs them at each of its starts, so they are safe to repeat. Those on a condition, and those that may delete data, are left
    to the user.
    """
    found = list(_steps(project, entry, hints))
    if migrations and not any(MIGRATION.search(step.text) and not conditional for step, conditional in found):
        report.add("app_setup_commands", [migrations.command], migrations.reason, migrations.place)
    for step, conditional in found:
        if migrations and MIGRATION.search(step.text):
            report.add("app_setup_commands", [migrations.command], migrations.reason, migrations.place)
            continue
        text = command_text(step, entry, report)
        if text in report.get("app_setup_commands", []):
            continue
        if step.program == "flask" and "db upgrade" in step.text:
            report.note(
                "'flask db upgrade' runs before the server, and no migrations are in git. Create and commit them: flask db init, flask db migrate.",
                step.place,
            )
        elif conditional or "$" in text:
            report.note(
                f"'{text}' runs before the server on a condition. If this site needs it, add it to app_setup_commands.",
                step.place,
                unless="app_setup_commands",
            )
        elif not _may_delete(project, entry, step):
            report.add("app_setup_commands", [text], "runs before the server", step.place)
            _set_import_path(step, hints, report)
        elif report.sqlite and step.program == "flask" and INITIAL.fullmatch(step.words[-1]):
            report.add(
                "app_setup_commands", [once(text, report)], f"creates the tables in {report.sqlite}, once", step.place
            )
        else:
            report.note(
                f"'{text}' runs before the server and may delete data, by its name. If it is safe to repeat, add it to app_setup_commands; "
                f"else run it once, after the first deploy: sudo /opt/outport/run /srv/NAME {text}",
                step.place,
                unless="app_setup_commands",
            )


def once(text: str, report: Report) -> str:
    """Return a command that does nothing where the SQLite database has content."""
    return shlex.join(["sh", "-c", f"test -s {shlex.quote(report.sqlite)} || {text}"])


def command_text(command: Command, entry: Entry, report: Report) -> str:
    """Return a command for the settings. flask gets the app's name, which a variable of the platform gives it elsewhere."""
    text = simple(command, report.get("app_environment", {}))
    if command.program == "flask" and not {"--app", "-A"} & set(command.words):
        return text.replace("flask ", f"flask --app {shlex.quote(entry.flask_app)} ", 1)
    return text


def _steps(project: Project, entry: Entry, hints: Hints) -> Iterator[tuple[Command, bool]]:
    """Yield the app's own steps of the first start that has some, and whether each is on a condition."""
    programs = _programs(project, entry)
    for start in hints.starts():
        if start.server and start.server.entry and not start.server.entry.startswith(f"{entry.module}:"):
            continue
        found = [
            (step, step in start.conditional)
            for step in start.commands
            if _is_of_app(project, entry, step, programs)
            and not _BUILD.search(step.text)
            and not _WAITS.search(step.text)
        ]
        if found:
            yield from found
            return


def _is_of_app(project: Project, entry: Entry, step: Command, programs: set[str]) -> bool:
    """Return whether a step is a command of the app, and not of another one in the repository."""
    directory = PurePosixPath(step.place.path).parent
    nearest = next((str(top) for top in (directory, *directory.parents) if has_requirements(project, top)), ".")
    if nearest != "." and not PurePosixPath(entry.subdir or ".").is_relative_to(nearest):
        return False
    first = step.words[1] if len(step.words) > 1 else ""
    if step.program in PYTHONS:
        named = first == "-m" and step.words[2:] and f"{step.words[2].replace('.', '/')}.py"
        return project.has(PurePosixPath(entry.subdir) / (named or first)) and not {"runserver", "shell"} & set(
            step.words
        )
    return step.program in programs | {"flask", "alembic"} and first not in ("run", "shell", "")


def _programs(project: Project, entry: Entry) -> set[str]:
    """Return the names of the programs that the app's package installs."""
    content = project.toml(str(PurePosixPath(entry.subdir) / "pyproject.toml"))
    found = {*table(content, "project", "scripts"), *table(content, "tool", "poetry", "scripts")}
    for name in ("setup.py", "setup.cfg"):
        text = project.text(str(PurePosixPath(entry.subdir) / name))
        found |= set(re.findall(r"(?m)(?:^\s*|[\"'])([\w.-]+)\s*=\s*[\w.]+:\w+", text))
    return found


def _may_delete(project: Project, entry: Entry, step: Command) -> bool:
    if step.program in PYTHONS and step.words[1] != "-m" and step.words[1:2] != ("manage.py",):
        text = project.text(str(PurePosixPath(entry.subdir) / step.words[1]))
        return bool(re.search(r"(?i)\bdrop(?:_all|\s+table)|\btruncate\b|rmtree", text)) or (
            "create_all(" not in text and bool(_DELETES.search(step.text))
        )
    return bool(_DELETES.search(step.text))


def _set_import_path(step: Command, hints: Hints, report: Report) -> None:
    """Let a script in a directory import the app's modules, where the image does."""
    in_directory = step.program in PYTHONS and "/" in step.words[1]
    if in_directory and ("PYTHONPATH" in hints.variables or "PYTHONPATH=" in step.text):
        report.add("app_environment", {"PYTHONPATH": "."}, f"{step.words[1]} imports the app's modules", step.place)
