"""The app's source at a commit: its files, its build hooks, and its requirements file."""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.release.commands import need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.repository import Repository

# Requirements files, in order of precedence.
KINDS = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml")


def take_source(context: Context) -> None:
    """Extract the app's directory of the commit, with its submodules, to app/, which the builder owns during the build."""
    context.builder.make_directory(context.release.app)
    context.release.work.mkdir()
    for archive in _repository(context).export(
        context.params["commit"], context.params["subdir"], context.release.work
    ):
        unpack = f'mkdir -p "$1" && tar --extract --no-same-owner --directory="$1" --strip-components={archive.strip} --file="$2"'
        result = context.builder.run(["/bin/sh", "-c", unpack, "sh", archive.path, str(archive.file)])
        need(result, "The app's source could not be unpacked.", "Fix the cause above, and run this again.")
        archive.file.unlink()


def describe_commit(context: Context) -> tuple[str, datetime]:
    """Return the subject of the commit, and its time in UTC."""
    result = _repository(context).git("log", "-1", "--format=%ct%n%s", context.params["commit"])
    need(result, f"git can't show commit {context.params['commit']}.", "Fix app_ref, and run this again.")
    seconds, _, subject = result.stdout.rstrip("\n").partition("\n")
    return subject, datetime.fromtimestamp(int(seconds), UTC)


def _repository(context: Context) -> Repository:
    """Return the app's clone."""
    return Repository.existing(context.app.repository)


def run_hooks(context: Context, when: str, path: str) -> None:
    """Run the commands of python_app_before_build or python_app_after_build (`when`) in app/, as the builder.

    `path` is their PATH. Raises ReleaseError when one fails.
    """
    for command in context.params[when]:
        result = context.builder.run(["/bin/sh", "-c", command], PATH=path)
        need(
            result,
            f"A command of python_app_{when} failed with exit code {result.code}: {command}",
            f"Fix the command (app_{when}) or the app, and run this again.",
            causes=(),
        )


def find_requirements(context: Context) -> Path:
    """Return the file with the app's requirements, one of KINDS unless an option names it; ReleaseError when there is none."""
    app = context.release.app
    where = f"in the directory '{context.params['subdir'] or '.'}' at commit {context.commit}"
    if wanted := context.params["requirements"]:
        file = app / wanted
        if ".." in file.parts or not file.is_file():
            raise ReleaseError(
                f"The app has no '{wanted}' {where}.",
                "Fix python_app_requirements (or app_subdir), leave it empty to find the file, or add the file to the app.",
            )
        return file
    for name in KINDS:
        if (app / name).is_file():
            return app / name
    found = ", ".join(sorted(os.listdir(app))[:10]) or "nothing"
    raise ReleaseError(
        f"The app has no {', '.join(KINDS[:-1])} or {KINDS[-1]} {where}; found {found}.",
        "Fix app_subdir, or add one of these files to the app.",
    )


def read_project(context: Context, directory: Path) -> dict[str, Any]:
    """Return the content of pyproject.toml, empty when there is none; ReleaseError when it is not valid TOML."""
    path = directory / "pyproject.toml"
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(context.builder.read(path))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(
            f"The app's pyproject.toml is not valid TOML: {error}.", "Fix it, and deploy that commit."
        ) from error


def is_package(project: dict[str, Any]) -> bool:
    """Return whether a project, the content of pyproject.toml, is to be installed as a package."""
    tool = project.get("tool", {})
    if "package" in tool.get("uv", {}):
        return bool(tool["uv"]["package"])
    return "build-system" in project and tool.get("poetry", {}).get("package-mode", True)
