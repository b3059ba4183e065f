"""Commands: migrations and what else runs once per release, and build steps."""

import shlex

from init.commands import RELEASE
from init.detect import steps
from init.detect.entry import Entry
from init.detect.variables import reads_of
from init.hints import Hints
from init.project import Project
from init.report import Place, Report
from init.syntax import literal


def detect(project: Project, entry: Entry, hints: Hints, names: set[str], report: Report) -> None:
    """Set app_setup_commands, app_schema_command and the build's hooks."""
    top = f"{entry.subdir}/" if entry.subdir else ""
    found = _migrations(project, entry, names, top)
    release = [command for command in hints.commands if command.name == RELEASE]
    for command in release:
        text = steps.command_text(command, entry, report)
        report.add("app_setup_commands", [text], "the process 'release'", command.place)
    if not release:
        steps.detect(project, entry, hints, found, report)
    migrates = any(steps.MIGRATION.search(command) for command in report.get("app_setup_commands", []))
    if migrates and found and found.schema_command:
        report.add("app_schema_command", found.schema_command, found.schema_reason)
    elif migrates and release and "flask-migrate" in names:
        schema_command = f"flask --app {shlex.quote(entry.flask_app)} db current"
        report.add("app_schema_command", schema_command, "Flask-Migrate shows the revision")
    if (
        not report.get("app_setup_commands")
        and report.get("database") == "mysql"
        and not any("create_all(" in project.text(path) for path in project.modules)
    ):
        report.note(
            "No migrations were found. If the app's tables are created by a command, add it to app_setup_commands.",
            unless="app_setup_commands",
        )
    _detect_static_of_django(project, entry, top, report)
    _detect_own_build(entry, hints, report)


def _migrations(project: Project, entry: Entry, names: set[str], top: str) -> steps.Migrations | None:
    """Return how the app's tables are migrated."""
    flask = f"flask --app {shlex.quote(entry.flask_app)}"
    alembic = next((path for path in (f"{top}alembic.ini", f"{top}migrations/alembic.ini") if project.has(path)), "")
    if entry.framework == "Django":
        return steps.Migrations(
            "python manage.py migrate --noinput", "Django's migrations", Place(f"{top}manage.py"), "", ""
        )
    if "flask-migrate" in names and (found := _environment_of_migrations(project, top)):
        directory = entry.relative(found).removesuffix("/env.py")
        where = "" if directory == "migrations" else f" --directory {shlex.quote(directory)}"
        return steps.Migrations(
            f"{flask} db upgrade{where}",
            "migrations of Flask-Migrate",
            Place(found),
            f"{flask} db current{where}",
            "Flask-Migrate shows the revision",
        )
    if alembic and "/migrations/" not in f"/{alembic}":
        return steps.Migrations(
            "alembic upgrade head",
            "migrations of Alembic",
            Place(alembic),
            "alembic current",
            "Alembic shows the revision",
        )
    return None


def _environment_of_migrations(project: Project, top: str) -> str:
    """Return the environment file of Alembic's migrations; empty for none."""
    versions = (
        path for path in project.files if path.startswith(top) and "/versions/" in path and path.endswith(".py")
    )
    found = (f"{path.partition('/versions/')[0]}/env.py" for path in versions)
    return next((path for path in found if project.has(path)), "")


def _detect_static_of_django(project: Project, entry: Entry, top: str, report: Report) -> None:
    if entry.framework != "Django":
        return
    for path, module in project.modules.items():
        if "STATIC_ROOT" in module.values:
            needed = [read.name for read in reads_of(project, entry).values() if read.required]
            # The build has no secrets and no database.
            variables = "".join(f"{name}=build " for name in needed if name not in report.get("app_environment", {}))
            command = f"{variables}python manage.py collectstatic --noinput"
            report.add(
                "app_after_build",
                [command],
                "STATIC_ROOT is filled by collectstatic",
                project.place(path, "STATIC_ROOT"),
            )
            return


def _detect_own_build(entry: Entry, hints: Hints, report: Report) -> None:
    """Set the hooks that compile translations and build assets by a command of the app, where a start or an image's build does."""
    for command in hints.commands:
        if command.program == "flask" and ("compile" in command.words or "assets build" in command.text):
            words = [word for word in command.words if word != "flask"]
            text = shlex.join(["flask", "--app", entry.flask_app, *words])
            reason = "compiles translations" if "compile" in command.words else "builds the assets"
            report.add("app_after_build", [text], reason, command.place)


def detect_initial_data(project: Project, entry: Entry, report: Report) -> None:
    """Create the tables of an SQLite database the first time, by the app's own command that does so; it may delete what is there."""
    if report.get("database") != "none" or report.get("app_setup_commands"):
        return
    for path, module in project.modules.items():
        for call in module.calls:
            name = literal(call.args[0]) if call.args else None
            if getattr(call.func, "attr", "") == "command" and isinstance(name, str) and steps.INITIAL.fullmatch(name):
                flask = f"flask --app {shlex.quote(entry.flask_app)} {name}"
                place = project.place(path, name)
                if report.sqlite:
                    report.add(
                        "app_setup_commands",
                        [steps.once(flask, report)],
                        f"creates the tables in {report.sqlite}, once: it could delete data",
                        place,
                    )
                else:
                    report.note(
                        f"'{name}' creates the tables, and may delete data. Run it once, after the first deploy: "
                        f"sudo /opt/outport/run /srv/NAME {flask}",
                        place,
                    )
                return
