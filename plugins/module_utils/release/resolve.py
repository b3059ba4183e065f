"""The lock file of a release: every package with its hashes, from the app's requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.release.commands import CHANGE_REQUIREMENTS, need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.python import Interpreter
from ansible.module_utils.release.requirements import constraints_in, is_locked, with_gunicorn, with_missing
from ansible.module_utils.release.source import KINDS

_PLAIN = ("--no-header", "--no-annotate")
_EXPORT = ("export", "--frozen", "--no-dev", "--no-emit-project", *_PLAIN)
_COMPILE = ("pip", "compile", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", *_PLAIN)
_POETRY_EXPORT = ("export", "--format=requirements.txt", "--without-urls", "--no-interaction", "--no-ansi")


def resolve(context: Context, file: Path, interpreter: Interpreter, project: dict[str, Any]) -> str:
    """Return the text of the lock file, in pip's format: `file` exported when it is locked, else resolved now for the interpreter.

    It has the extra requirements of the options too. `file` is one that find_requirements returns. Raises ReleaseError, with
    the output of uv or poetry, when they fail.
    """
    extra = _write(context, "extra.in", "".join(f"{entry}\n" for entry in context.params["extra_requirements"]))
    lock = _export(context, file, interpreter, project)
    compile_ = [*_COMPILE, "--python", interpreter.path]
    if not lock:
        return _uv(context, [*compile_, file.name, str(extra)], file)
    if not context.params["extra_requirements"]:
        return lock
    # What the app has locked stays as it is; gunicorn is the tested one.
    pins = _write(context, "constraints.txt", constraints_in(with_gunicorn(lock, context.tools.locks["gunicorn"])))
    result = context.builder.run([context.tools.uv, *compile_, "--constraint", str(pins), str(extra)])
    fix = "Fix python_app_extra_requirements (the setting app_extra_requirements), and run this again."
    return with_missing(lock, need(result, "The extra requirements can't be added to the app's.", fix).stdout)


def _write(context: Context, name: str, text: str) -> Path:
    """Write a temporary file that the builder can read; return its path."""
    path = context.release.work / name
    path.write_text(text)
    return path


def _export(context: Context, file: Path, interpreter: Interpreter, project: dict[str, Any]) -> str:
    """Return the content of a locked file in pip's format; empty when it is not locked."""
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
    return ""


def _uv(context: Context, words: list[str], file: Path) -> str:
    """Return uv's output for a file."""
    result = context.builder.run([context.tools.uv, *words], file.parent)
    return need(result, f"uv can't create a lock file from the app's {file.name}.", CHANGE_REQUIREMENTS).stdout
