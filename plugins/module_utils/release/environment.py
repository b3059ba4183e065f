"""The virtual environment of a release: exactly the packages of its lock file, shared by releases that have the same one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

from ansible.module_utils.release.archive import install_received
from ansible.module_utils.release.commands import CAUSES, CHANGE_REQUIREMENTS, need
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.files import finish, own
from ansible.module_utils.release.layout import Environment
from ansible.module_utils.release.project import Project
from ansible.module_utils.release.python import Interpreter
from ansible.module_utils.release.requirements import entries, is_commit, local_path


def ensure_environment(
    context: Context, lock: str, interpreter: Interpreter, project: Project
) -> tuple[Environment, bool]:
    """Return the environment of a lock file, created unless it exists, and whether it existed.

    Raises ReleaseError when a package can't be installed; an incomplete environment is removed.
    """
    local = _local(lock, project)
    environment = context.app.environment(_key(context, lock, interpreter, local))
    if environment.complete.exists():
        return environment, True
    shutil.rmtree(environment.directory, ignore_errors=True)
    try:
        context.builder.make_directory(environment.directory)
        _install_lock(context, environment, lock, interpreter)
        if local:
            _install_local(context, environment, project, local)
        own(str(environment.directory))
        finish(environment.complete)
    except BaseException:
        shutil.rmtree(environment.directory, ignore_errors=True)
        raise
    return environment, False


def count_packages(environment: Environment) -> int:
    """Return how many packages an environment has."""
    return len(list(environment.directory.glob("lib/python*/site-packages/*.dist-info")))


def _local(lock: str, project: Project) -> list[str]:
    """Return the directories that are installed from the source, relative to the project's root."""
    found = [path for entry in entries(lock) if (path := local_path(entry))]
    own = os.path.relpath(project.directory, project.root)
    return sorted({*found, *([own] if project.is_package else [])})


def _key(context: Context, lock: str, interpreter: Interpreter, local: list[str]) -> str:
    """Return a checksum of everything that determines the environment's content, as 16 hexadecimal digits."""
    params = context.params
    inputs = [lock, interpreter.tag, context.tools.tool("uv").digest]
    if local:
        inputs += [*local, params["commit"], params["subdir"], params["requirements"], *params["before_build"]]
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
    lines = [entry for entry in entries(lock) if not local_path(entry)]
    hashed.write_text("\n".join(line for line in lines if not is_commit(line)) + "\n")
    commits.write_text("\n".join(line for line in lines if is_commit(line)) + "\n")
    install_received(context, lock, options)
    cause = "The locked packages could not be installed."
    result = context.builder.run([uv, "pip", "sync", "--require-hashes", *options, str(hashed)])
    need(result, cause, CHANGE_REQUIREMENTS)
    if any(map(is_commit, lines)):
        result = context.builder.run([uv, "pip", "install", "--no-deps", *options, "--requirement", str(commits)])
        need(
            result,
            cause,
            "Fix the git URL, or give the host access to that repository: app_deploy_key_file or app_repository_keys (SSH),"
            " app_repository_token (https).",
        )


def _install_local(context: Context, environment: Environment, project: Project, local: list[str]) -> None:
    """Install packages of the source, from a copy: a build writes to its source."""
    cause = "The app itself could not be installed as a package."
    fix = (
        "Fix [build-system] and the package's files, or specify that the app is not a package "
        "([tool.uv] package = false, [tool.poetry] package-mode = false)."
    )
    copy = context.builder.make_directory(context.release.work / "source")
    need(context.builder.run(["cp", "--archive", f"{project.root}/.", str(copy)]), cause, fix)
    # A version that is derived from git tags can't be determined in an archive.
    version = f"0.0.0+g{context.commit}"
    for path in local:
        install = [context.tools.uv, "pip", "install", "--no-deps", *_options(environment), f"./{path}"]
        result = context.builder.run(install, copy, SETUPTOOLS_SCM_PRETEND_VERSION=version)
        # "A package could not be built" would add nothing to the cause.
        need(result, cause, fix, CAUSES[:-1])
