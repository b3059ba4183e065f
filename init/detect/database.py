"""The database: MySQL with the variables that the app reads, or none, where its data is in SQLite or it has none."""

import re

from init.detect import dialect
from init.detect.entry import Entry
from init.detect.steps import MIGRATION
from init.detect.variables import database_parts, database_urls
from init.project import Project
from init.reads import Read
from init.report import Report

_DRIVERS = {"pymysql": "sqlalchemy-pymysql", "mysqlclient": "sqlalchemy-mysqlclient"}
_SCHEMES = {
    "sqlalchemy-pymysql": "mysql+pymysql",
    "sqlalchemy-mysqlclient": "mysql+mysqldb",
    "django": "django.db.backends.mysql",
}
_MAPPERS = {
    "sqlalchemy",
    "flask-sqlalchemy",
    "sqlmodel",
    "flask-sqlalchemy-lite",
    "peewee",
    "tortoise-orm",
    "pony",
    "dataset",
    "django",
}
_COMPILED = (["gcc", "python3-dev", "libmariadb-dev", "pkg-config"], ["libmariadb3"])


def detect(project: Project, entry: Entry, names: set[str], reads: dict[str, Read], report: Report) -> None:
    """Set `database` (unless it is given), and the variables and the driver for MySQL."""
    wanted = str(report.given.get("database", "mysql" if report.given.get("app_database_variables") else ""))
    urls, parts = database_urls(reads), database_parts(reads)
    own = next((read.place for name, read in reads.items() if name == "DATABASE_CREDENTIALS_FILE"), None)
    mysql = wanted == "mysql" or (wanted != "none" and bool(own or parts or (urls and names & _MAPPERS)))
    if not mysql:
        report.add(
            "database", "none", "no variable with a database's address is read" if wanted != "none" else "as requested"
        )
        for read in urls:
            report.note(
                f"{read.name} is not set: without SQLAlchemy, Django or another mapper, its form is not known",
                read.place,
            )
        return
    report.add(
        "database",
        "mysql",
        "as requested" if wanted else "reads the database's address",
        own or (urls[0].place if urls else next(iter(parts.values()))[1].place if parts else None),
    )
    if own:
        return
    template = _template(names, report)
    dialect.detect(project, entry, reads, _SCHEMES.get(template, "mysql"), report)
    for read in urls:
        report.add("app_database_variables", {read.name: template}, f"reads {read.name}", read.place)
    # The address is in the URL, and a CA file is one of the host.
    others = {name: part for name, part in parts.items() if not urls or part[1].required or part[0] == "{ca_file}"}
    for name, (text, read) in others.items():
        report.add("app_database_variables", {name: text}, f"reads {name}", read.place)
    if not names & _DRIVERS.keys():
        _add_driver(template, names, report)
    if not urls and not parts:
        report.note(
            "no variable with the database's address was found. Map them: app_database_variables, see docs/your-app.md",
            unless="app_database_variables",
        )


def compare_with_migrations(project: Project, report: Report) -> None:
    """Note migrations of an app for which no database was found, and that has none in SQLite."""
    migrations = next((text for text in report.get("app_setup_commands", []) if MIGRATION.search(text)), "")
    if not migrations or report.get("database") != "none" or report.sqlite:
        return
    if any(re.search("sqlite", project.text(path), re.IGNORECASE) for path in project.modules):
        return
    report.note(
        f"'{migrations}' migrates a database, but database is none: no variable with a database's address was found in the code. "
        "Set database: mysql, and in app_database_variables the variable that the app reads, such as {DATABASE_URL: sqlalchemy-pymysql}; "
        "see docs/your-app.md.",
        unless="database",
    )


def _template(names: set[str], report: Report) -> str:
    if "django" in names:
        return "django"
    if "sqlalchemy" in names or "flask-sqlalchemy" in names or "sqlmodel" in names or not names & _MAPPERS:
        return _DRIVERS["mysqlclient"] if "mysqlclient" in names and "pymysql" not in names else _DRIVERS["pymysql"]
    return "mysql://{username}:{password}@{host}:{port}/{dbname}"


def _add_driver(template: str, names: set[str], report: Report) -> None:
    other = next(
        (name for name in ("psycopg2", "psycopg2-binary", "psycopg", "asyncpg", "pg8000") if name in names), ""
    )
    why = (
        f"the app has {other} for PostgreSQL, and Outport's database is MySQL"
        if other
        else "the app has no driver for MySQL"
    )
    if template == "django":
        report.add("app_extra_requirements", ["mysqlclient"], why)
        report.add("app_build_packages", _COMPILED[0], "to compile mysqlclient")
        report.add("app_packages", _COMPILED[1], "for mysqlclient")
    else:
        report.add("app_extra_requirements", ["PyMySQL"], why)
    if other:
        report.note(
            f"The app was written for PostgreSQL ({other}) and gets MySQL. Its migrations and queries have to work there."
        )
