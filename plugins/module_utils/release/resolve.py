"""The lock file of a release: every package with its hashes, from the app's requirements."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.release.commands import CHANGE_REQUIREMENTS, need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.project import KINDS, Project, indexes
from ansible.module_utils.release.python import Interpreter
from ansible.module_utils.release.requirements import constraints_in, is_locked, with_gunicorn, with_missing

_PLAIN = ("--no-header", "--no-annotate")
_EXPORT = ("export", "--frozen", "--no-dev", "--no-emit-project", "--no-editable", *_PLAIN)
_COMPILE = ("pip", "compile", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", *_PLAIN)
_POETRY_EXPORT = ("export", "--format=requirements.txt", "--without-urls", "--no-interaction", "--no-ansi")


def resolve(context: Context, project: Project, interpreter: Interpreter) -> str:
    """Return the text of the lock file, in pip's format: exported when the project is locked, else resolved now for the interpreter.

    It has the project's indexes and the extra requirements of the options too. Raises ReleaseError, with the output of uv or
    poetry, when they fail.
    """
    options = indexes(context, project)
    extra = context.release.work / "extra.in"
    extra.write_text("\n".join([*options, *context.params["extra_requirements"], ""]))
    lock = _export(context, project, interpreter)
    if not lock:
        lock = _compile(context, project, interpreter, extra)
    elif context.params["extra_requirements"]:
        lock = with_missing(lock, _compile_extra(context, lock, extra, interpreter))
    return "\n".join([*(option for option in options if option not in lock), lock])


def _export(context: Context, project: Project, interpreter: Interpreter) -> str:
    """Return the content of a locked file in pip's format; empty when it is not locked."""
    extras, groups = context.params["extras"], context.params["groups"]
    if project.kind == "uv.lock":
        chosen = [f"--extra={name}" for name in extras] + [f"--group={name}" for name in groups]
        return _uv(context, [*_EXPORT, *chosen, "--python", interpreter.path], project)
    if project.kind == "poetry.lock":
        poetry = str(context.tools.ensure_poetry().program)
        chosen = [f"--extras={name}" for name in extras] + [f"--with={name}" for name in groups]
        command = [poetry, *_POETRY_EXPORT, *chosen]
        result = context.builder.run(command, project.directory, POETRY_VIRTUALENVS_CREATE="false")
        return need(
            result, "poetry can't read the app's poetry.lock.", "Fix it with `poetry lock`, and deploy that commit."
        ).stdout
    if project.kind == "requirements.txt":
        if extras or groups:
            raise ReleaseError(
                f"The requirements are in {project.file.name}, which has no extras or groups.",
                "Remove app_extras and app_groups from the settings, or use uv.lock, poetry.lock or pyproject.toml.",
            )
        text = context.builder.read(project.file)
        return text if is_locked(text) else ""
    return ""


def _compile(context: Context, project: Project, interpreter: Interpreter, extra: Path) -> str:
    """Return the lock of requirements that are resolved now, with those in the file `extra`."""
    content = project.content
    if project.kind == "pyproject.toml" and "project" not in content and "poetry" not in content.get("tool", {}):
        raise ReleaseError(
            "The app has no lock file, and its pyproject.toml has no project.",
            f"Add one of {', '.join(KINDS[:-2])}, or a [project] with its dependencies, or fix app_subdir.",
        )
    chosen = [f"--extra={name}" for name in context.params["extras"]]
    chosen += [f"--group={name}" for name in context.params["groups"]]
    return _uv(context, [*_COMPILE, *chosen, "--python", interpreter.path, project.file.name, str(extra)], project)


def _compile_extra(context: Context, lock: str, extra: Path, interpreter: Interpreter) -> str:
    """Return the lock of the extra requirements. What the app has locked stays as it is; gunicorn is the tested one."""
    pins = context.release.work / "constraints.txt"
    pins.write_text(constraints_in(with_gunicorn(lock, context.tools.locks["gunicorn"])))
    command = [context.tools.uv, *_COMPILE, "--python", interpreter.path, "--constraint", str(pins), str(extra)]
    fix = "Fix python_app_extra_requirements (the setting app_extra_requirements), and run this again."
    return need(context.builder.run(command), "The extra requirements can't be added to the app's.", fix).stdout


def _uv(context: Context, words: list[str], project: Project) -> str:
    """Return uv's output for a project."""
    result = context.builder.run([context.tools.uv, *words], project.directory)
    return need(result, f"uv can't create a lock file from the app's {project.file.name}.", CHANGE_REQUIREMENTS).stdout
