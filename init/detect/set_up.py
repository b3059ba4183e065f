"""Commands: migrations and what else runs once per release, and build steps."""

import re
import shlex

from init.commands import BUILD, RELEASE, simple
from init.detect.entry import Entry
from init.detect.variables import reads_of
from init.hints import Hints
from init.project import Project
from init.report import Place, Report
from init.syntax import literal


def detect(project: Project, entry: Entry, hints: Hints, names: set[str], report: Report) -> None:
    """Set app_setup_commands, app_schema_command and the build's hooks."""
    top = f"{entry.subdir}/" if entry.subdir else ""
    flask = f"flask --app {shlex.quote(entry.flask_app)}"
    alembic = next((path for path in (f"{top}alembic.ini", f"{top}migrations/alembic.ini") if project.has(path)), "")
    release = [command for command in hints.commands if command.name == RELEASE]
    if release:
        for command in release:
            text = simple(command, report.get("app_environment", {}))
            # The program needs the app's name, which the platform's own FLASK_APP gives it.
            if command.program == "flask" and not {"--app", "-A"} & set(command.words):
                text = text.replace("flask ", f"{flask} ", 1)
            report.add("app_setup_commands", [text], "the process 'release'", command.place)
        if "flask-migrate" in names and any("db upgrade" in command.text for command in release):
            report.add("app_schema_command", f"{flask} db current", "Flask-Migrate shows the revision")
    elif entry.framework == "Django":
        report.add(
            "app_setup_commands",
            ["python manage.py migrate --noinput"],
            "Django's migrations",
            Place(f"{top}manage.py"),
        )
    elif "flask-migrate" in names and (found := _migrations(project, top)):
        directory = entry.relative(found).removesuffix("/env.py")
        where = "" if directory == "migrations" else f" --directory {shlex.quote(directory)}"
        report.add("app_setup_commands", [f"{flask} db upgrade{where}"], "migrations of Flask-Migrate", Place(found))
        report.add("app_schema_command", f"{flask} db current{where}", "Flask-Migrate shows the revision")
    elif alembic and "/migrations/" not in f"/{alembic}":
        report.add("app_setup_commands", ["alembic upgrade head"], "migrations of Alembic", Place(alembic))
        report.add("app_schema_command", "alembic current", "Alembic shows the revision")
    elif report.get("database") == "mysql" and not any("create_all(" in project.text(path) for path in project.modules):
        report.note(
            "No migrations were found. If the app's tables are created by a command, add it to app_setup_commands."
        )
    _detect_static_of_django(project, entry, top, report)
    _detect_build(project, entry, hints, top, report)


def _migrations(project: Project, top: str) -> str:
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


def _detect_build(project: Project, entry: Entry, hints: Hints, top: str, report: Report) -> None:
    """Set the hooks of a front-end build, and of the app's own commands that an image's build runs."""
    for command in hints.commands:
        if command.name != BUILD and command.program != "flask":
            continue
        if command.program == "flask" and "compile" in command.words:
            words = [word for word in command.words if word != "flask"]
            report.add(
                "app_after_build",
                [shlex.join(["flask", "--app", entry.flask_app, *words])],
                "compiles translations",
                command.place,
            )
    package = f"{top}package.json"
    scripts = re.search(r'"scripts"\s*:\s*\{[^}]*"(build(?::prod\w*)?)"\s*:', project.text(package))
    if not scripts:
        return
    lock = "npm ci" if project.has(f"{top}package-lock.json") else "npm install"
    if project.has(f"{top}yarn.lock"):
        report.note(
            "The front end is built with Yarn. Add the commands to app_before_build, and node and Yarn to app_build_packages.",
            project.place(package, scripts[1]),
        )
        return
    report.add(
        "app_before_build",
        [lock, f"npm run {scripts[1]}"],
        f"has the script {scripts[1]}",
        project.place(package, scripts[1]),
    )
    report.add("app_build_packages", ["nodejs", "npm"], f"to run {lock}")


def detect_initial_data(project: Project, entry: Entry, report: Report) -> None:
    """Create the tables of an SQLite database the first time, by the app's own command that does so; it may delete what is there."""
    if report.get("database") != "none" or report.get("app_setup_commands"):
        return
    for path, module in project.modules.items():
        for call in module.calls:
            name = literal(call.args[0]) if call.args else None
            if (
                getattr(call.func, "attr", "") == "command"
                and isinstance(name, str)
                and re.fullmatch(r"(?:init|create)[-_]?(?:db|database|tables)?", name)
            ):
                flask = f"flask --app {shlex.quote(entry.flask_app)} {name}"
                place = project.place(path, name)
                if report.sqlite:
                    guarded = shlex.join(["sh", "-c", f"test -s {shlex.quote(report.sqlite)} || {flask}"])
                    report.add(
                        "app_setup_commands",
                        [guarded],
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
