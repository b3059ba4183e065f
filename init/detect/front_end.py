"""The front end that is built with npm: in the app's directory, or above it."""

import re

from init.detect.entry import Entry
from init.project import Project
from init.report import Report


def detect(project: Project, entry: Entry, report: Report) -> None:
    """Set the hooks of a front-end build."""
    top = f"{entry.subdir}/" if entry.subdir else ""
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
