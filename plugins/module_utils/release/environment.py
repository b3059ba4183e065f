"""The virtual environment of a release: exactly the packages of its lock file, shared by releases that have the same one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.release.archive import install_received
from ansible.module_utils.release.commands import CAUSES, CHANGE_REQUIREMENTS, need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.files import finish, own
from ansible.module_utils.release.layout import Environment
from ansible.module_utils.release.python import Interpreter
from ansible.module_utils.release.requirements import entries, is_commit
from ansible.module_utils.release.source import is_package


def ensure_environment(
    context: Context, lock: str, interpreter: Interpreter, directory: Path, project: dict[str, Any]
) -> tuple[Environment, bool]:
    """Return the environment of a lock file, created unless it exists, and whether it existed.

    `directory` has the app's pyproject.toml, whose content is `project`. Raises ReleaseError when a package can't be
    installed; an incomplete environment is removed.
    """
    environment = context.app.environment(_key(context, lock, interpreter, directory, project))
    if environment.complete.exists():
        return environment, True
    shutil.rmtree(environment.directory, ignore_errors=True)
    try:
        context.builder.make_directory(environment.directory)
        _install_lock(context, environment, lock, interpreter)
        if is_package(project):
            _install_app(context, environment, directory)
        own(str(environment.directory))
        finish(environment.complete)
    except BaseException:
        shutil.rmtree(environment.directory, ignore_errors=True)
        raise
    return environment, False


def count_packages(environment: Environment) -> int:
    """Return how many packages an environment has."""
    return len(list(environment.directory.glob("lib/python*/site-packages/*.dist-info")))


def _key(context: Context, lock: str, interpreter: Interpreter, directory: Path, project: dict[str, Any]) -> str:
    """Return a checksum of everything that determines the environment's content, as 16 hexadecimal digits."""
    params = context.params
    inputs = [lock, interpreter.tag, context.tools.tool("uv").digest]
    if is_package(project):
        inputs += [
            params["commit"],
            str(directory.relative_to(context.release.directory)),
            params["subdir"],
            *params["before_build"],
        ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]


def _options(environment: Environment) -> list[str]:
    """Return the options of uv for installing into an environment."""
    return ["--compile-bytecode", "--link-mode", "copy", "--python", str(environment.python)]


def _install_lock(context: Context, environment: Environment, lock: str, interpreter: Interpreter) -> None:
    """Create the environment and install the locked packages."""
    uv, options, work = context.tools.uv, _options(environment), context.release.work
    created = context.builder.run(
        [uv, "venv", "--allow-existing", "--python", interpreter.path, str(environment.directory)]
    )
    need(created, "The virtual environment could not be created.", "Fix the cause above, and run this again.")
    hashed, commits = work / "hashed.txt", work / "commits.txt"
    lines = entries(lock)
    hashed.write_text("\n".join(line for line in lines if not is_commit(line)) + "\n")
    commits.write_text("\n".join(line for line in lines if is_commit(line)) + "\n")
    install_received(context, lock, options)
    cause = "The locked packages could not be installed."
    result = context.builder.run([uv, "pip", "sync", "--require-hashes", *options, str(hashed)])
    need(result, cause, CHANGE_REQUIREMENTS)
    if any(map(is_commit, lines)):
        result = context.builder.run([uv, "pip", "install", "--no-deps", *options, "--requirement", str(commits)])
        need(result, cause, "Fix the git URL, or allow the host to read that repository without a password.")


def _install_app(context: Context, environment: Environment, directory: Path) -> None:
    """Install the app itself, from a copy: a build writes to its source."""
    cause = "The app itself could not be installed as a package."
    fix = (
        "Fix [build-system] and the package's files, or specify that the app is not a package "
        "([tool.uv] package = false, [tool.poetry] package-mode = false)."
    )
    copy = context.builder.make_directory(context.release.work / "source")
    need(context.builder.run(["cp", "--archive", f"{directory}/.", str(copy)]), cause, fix)
    install = [context.tools.uv, "pip", "install", "--no-deps", *_options(environment), "."]
    # A version that is derived from git tags can't be determined in an archive.
    version = f"0.0.0+g{context.commit}"
    result = context.builder.run(install, copy, SETUPTOOLS_SCM_PRETEND_VERSION=version)
    # "A package could not be built" would add nothing to the cause.
    need(result, cause, fix, CAUSES[:-1])
