"""The app's project: the file with its requirements, its pyproject.toml, and the workspace that it may be a member of."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.release.commands import need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.requirements import entries
from ansible.module_utils.release.source import extract

# Requirements files, in order of precedence.
KINDS = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml", "setup.py")
_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]?\s*(\S+)")
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url)[ =]\s*\S+")


@dataclass(frozen=True)
class Project:
    """The file with the requirements, the directory of the app's project, the one that local requirements are relative to, and pyproject.toml."""

    file: Path
    directory: Path
    root: Path
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return self.file.name if self.file.name in KINDS else "requirements.txt"

    @property
    def is_package(self) -> bool:
        """Whether the project is to be installed as a package."""
        if self.kind == "setup.py":
            return True
        tool = self.content.get("tool", {})
        if "package" in tool.get("uv", {}):
            return bool(tool["uv"]["package"])
        return "build-system" in self.content and tool.get("poetry", {}).get("package-mode", True)


def find_project(context: Context) -> Project:
    """Return the app's project. Raises ReleaseError when it has no requirements, or its pyproject.toml is not valid TOML."""
    app = context.release.app
    file = _find_file(context)
    if file.name == "pyproject.toml" and (member := _workspace(context)):
        root = context.release.work / "workspace"
        return Project(root / "uv.lock", root / member, root, _read(context, app / "pyproject.toml"))
    return Project(file, file.parent, file.parent, _read(context, file.parent / "pyproject.toml"))


def indexes(context: Context, project: Project) -> list[str]:
    """Return the options for the package indexes that a project declares, as a requirements file has them."""
    tool = project.content.get("tool", {})
    if project.kind == "requirements.txt":
        return _index_options(context, project.file, set())
    if project.root != project.directory:
        tool = _read(context, project.root / "pyproject.toml").get("tool", {}) | tool
    declared = (
        tool.get("poetry", {}).get("source", [])
        if project.kind == "poetry.lock"
        else tool.get("uv", {}).get("index", [])
    )
    return [
        f"{'--index-url' if index.get('default') else '--extra-index-url'} {index['url']}"
        for index in declared
        if "url" in index
    ]


def _index_options(context: Context, file: Path, seen: set[Path]) -> list[str]:
    """Return the index options of a requirements file and of those that it includes."""
    seen.add(file)
    found = []
    for entry in entries(context.builder.read(file)):
        if included := _INCLUDE.match(entry):
            path = file.parent / included[1]
            if path not in seen and path.is_file():
                found += _index_options(context, path, seen)
        elif _INDEX.match(entry):
            found.append(entry)
    return found


def _find_file(context: Context) -> Path:
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


def _read(context: Context, path: Path) -> dict[str, Any]:
    """Return the content of a pyproject.toml, empty when there is none; ReleaseError when it is not valid TOML."""
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(context.builder.read(path))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(
            f"The app's pyproject.toml is not valid TOML: {error}.", "Fix it, and deploy that commit."
        ) from error


def _workspace(context: Context) -> str:
    """Extract the uv workspace that the app is in, with the app as the hooks left it; return the app's directory in it, empty for none."""
    subdir = PurePosixPath(context.params["subdir"] or ".")
    for above in subdir.parents if subdir.parts else ():
        if context.repository.has_file(context.params["commit"], str(above / "uv.lock")):
            root = context.builder.make_directory(context.release.work / "workspace")
            extract(context, str(above), root)
            member = root / subdir.relative_to(above)
            result = context.builder.run(["cp", "--archive", f"{context.release.app}/.", str(member)])
            need(result, "The app's workspace could not be copied.", "Fix the cause above, and run this again.")
            return str(subdir.relative_to(above))
    return ""
