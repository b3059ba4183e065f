"""The lock file of a release: every package with its hashes, from the app's requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.release.commands import CHANGE_REQUIREMENTS, need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.python import Interpreter
from ansible.module_utils.release.requirements import is_locked
from ansible.module_utils.release.source import KINDS

_PLAIN = ("--no-header", "--no-annotate")
_EXPORT = ("export", "--frozen", "--no-dev", "--no-emit-project", *_PLAIN)
_COMPILE = ("pip", "compile", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", *_PLAIN)
_POETRY_EXPORT = ("export", "--format=requirements.txt", "--without-urls", "--no-interaction", "--no-ansi")


def resolve(context: Context, file: Path, interpreter: Interpreter, project: dict[str, Any]) -> str:
    """Return the text of the lock file, in pip's format: `file` exported when it is locked, else resolved now for the interpreter.

    `file` is one that find_requirements returns. Raises ReleaseError, with the output of uv or poetry, when they fail.
    """
    if file.name == "uv.lock":
        return _uv(context, [*_EXPORT, "--python", interpreter.path], file)
    if file.name == "poetry.lock":
        poetry = str(context.tools.ensure_poetry().program)
        result = context.builder.run([poetry, *_POETRY_EXPORT], file.parent, POETRY_VIRTUALENVS_CREATE="false")
        return need(
            result, "poetry can't read the app's poetry.lock.", "Fix it with `poetry lock`, and deploy that commit."
        ).stdout
    if file.name == "pyproject.toml":
        if "project" not in project and "poetry" not in project.get("tool", {}):
            raise ReleaseError(
                "The app has no lock file, and its pyproject.toml has no project.",
                f"Add one of {', '.join(KINDS[:-1])}, or a [project] with its dependencies, or fix app_subdir.",
            )
    elif is_locked(text := context.builder.read(file)):
        return text
    return _uv(context, [*_COMPILE, "--python", interpreter.path, file.name], file)


def _uv(context: Context, words: list[str], file: Path) -> str:
    """Return uv's output for a file."""
    result = context.builder.run([context.tools.uv, *words], file.parent)
    return need(result, f"uv can't create a lock file from the app's {file.name}.", CHANGE_REQUIREMENTS).stdout
