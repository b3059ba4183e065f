"""A release from a commit of the app's clone: its source, and a locked virtual environment."""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
import time
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.release.archive import pack, unpack
from ansible.module_utils.release.builder import BUILDER, PATH
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.disk import check_space, disk_full
from ansible.module_utils.release.environment import count_packages, ensure_environment
from ansible.module_utils.release.files import finish, own, write
from ansible.module_utils.release.gunicorn_settings import overridden
from ansible.module_utils.release.layout import Environment
from ansible.module_utils.release.lock import locked
from ansible.module_utils.release.project import find_project
from ansible.module_utils.release.prune import prune
from ansible.module_utils.release.python import check_interpreter, find_interpreter
from ansible.module_utils.release.requirements import check_lock, with_gunicorn
from ansible.module_utils.release.resolve import resolve
from ansible.module_utils.release.secrets import index_credentials, repository_access
from ansible.module_utils.release.shared_directories import link_shared
from ansible.module_utils.release.source import describe_commit, run_hooks, take_source

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def build(context: Context) -> dict[str, Any]:
    """Build the release unless it exists, and return the result of release_build.

    Raises ReleaseError when it can't be built; an incomplete release is removed.
    """
    try:
        return _build(context)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise disk_full("", context.app.root) from error


def _build(context: Context) -> dict[str, Any]:
    """Build the release; a full disk is an OSError."""
    began = time.monotonic()
    with locked(context.app, f"build of {context.release.id}") as lock:
        context.builder.locks = (lock,)
        if context.release.built.exists():
            return _result(context, began, changed=False, reused=True, archive=pack(context))
        prune(context)
        check_space(context.app.root, context.params["minimum_free_mb"])
        try:
            reused = _make(context)
            packed = pack(context)
            finish(context.release.built)
        except BaseException:
            shutil.rmtree(context.release.directory, ignore_errors=True)
            raise
        return _result(context, began, changed=True, reused=reused, archive=packed)


def preview(context: Context) -> dict[str, Any]:
    """Return what `build` would return, without changing the host."""
    built = context.release.built.exists()
    return _result(context, time.monotonic(), changed=not built, reused=built)


def _make(context: Context) -> bool:
    """Prepare the host for a build, and build the release; return whether its environment existed."""
    release = context.release
    context.builder.ensure()
    context.tools.ensure_uv()
    shutil.rmtree(release.directory, ignore_errors=True)
    with index_credentials(context), repository_access(context.params, BUILDER) as access:
        context.builder.access = access.variables()
        return _make_release(context)


def _make_release(context: Context) -> bool:
    """Build everything of the release except its marker; return whether its environment existed."""
    release = context.release
    take_source(context)
    run_hooks(context, "before_build", PATH)
    project = find_project(context)
    interpreter = find_interpreter(context)
    check_interpreter(context, interpreter, project.content)
    lock = unpack(context) if context.params["archive"] else resolve(context, project, interpreter)
    lock = with_gunicorn(lock, context.tools.locks["gunicorn"])
    check_lock(lock)
    environment, reused = ensure_environment(context, lock, interpreter, project)
    release.venv.symlink_to(os.path.relpath(environment.directory, release.directory))
    run_hooks(context, "after_build", f"{release.venv}/bin:{PATH}")
    # As the builder. Compiling runs no code; a file that is not valid Python, such as a template, is skipped.
    context.builder.run([interpreter.path, "-I", "-S", "-m", "compileall", "-q", str(release.app)])
    _check_gunicorn_settings(context)
    own(str(release.app))
    link_shared(context)
    shutil.rmtree(release.work)
    release.runtime.mkdir()
    _write_files(context)
    write(release.requirements, lock)
    description = _describe(context, project.kind, environment)
    write(release.description, json.dumps(description, indent=2) + "\n")
    return reused


def _check_gunicorn_settings(context: Context) -> None:
    """Warn about settings in the app's gunicorn.conf.py that have no effect."""
    file = context.release.app / "gunicorn.conf.py"
    if file.is_file() and (names := overridden(context.builder.read(file))):
        context.warnings.append(
            f"The app's gunicorn.conf.py sets {', '.join(names)}, which has no effect: Outport sets "
            f"{'them' if len(names) > 1 else 'it'} itself (docs/your-app.md, gunicorn)."
        )


def _write_files(context: Context) -> None:
    """Write the additional files of the release, readable by root and the app's user only."""
    group = pwd.getpwnam(context.app.name).pw_gid
    for name, content in context.params["files"].items():
        path = context.release.directory / name
        write(path, content)
        os.chown(path, 0, group)
        path.chmod(0o640)


def _describe(context: Context, kind: str, environment: Environment) -> dict[str, Any]:
    """Return the content of release.json."""
    subject, committed = describe_commit(context)
    return {
        "release": context.release.id,
        "commit": context.params["commit"],
        "subject": subject,
        "ref": context.params["ref"],
        "committed": committed.strftime(_TIME),
        "built": datetime.now(UTC).strftime(_TIME),
        "by": context.params["by"],
        "kind": kind,
        "packages": count_packages(environment),
        "environment": environment.key,
    }


def _result(context: Context, began: float, changed: bool, reused: bool, archive: str = "") -> dict[str, Any]:
    """Return the result of release_build, from release.json if it exists."""
    path = context.release.description
    description = json.loads(path.read_text()) if path.exists() else {}
    return {
        "changed": changed,
        "seconds": round(time.monotonic() - began, 2),
        "kind": description.get("kind", ""),
        "packages": description.get("packages", 0),
        "subject": description.get("subject", ""),
        "environment": description.get("environment", ""),
        "environment_reused": reused,
        "pruned": context.pruned,
        "archive": archive,
    }
