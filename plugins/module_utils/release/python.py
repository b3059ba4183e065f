"""The Python interpreter of a release: the host's own, or one downloaded by uv."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.release.builder import variables
from ansible.module_utils.release.commands import need, run
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import PYTHONS
from ansible.module_utils.release.tools import SYSTEM_PYTHON

_INSPECT = """
import json, sys, sysconfig
print(json.dumps([".".join(map(str, sys.version_info[:3])), sysconfig.get_config_var("SOABI"), sys.base_prefix]))
"""
# In poetry's environment: poetry has operators that no Python standard has, such as ^.
_POETRY_ALLOWS = """
import sys
from poetry.core.constraints.version import Version, parse_constraint
sys.exit(not parse_constraint(sys.argv[1]).allows(Version.parse(sys.argv[2])))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter: its path, its version such as `3.12.4`, and a tag; environments are shared between equal tags only."""

    path: str
    version: str
    tag: str


def find_interpreter(context: Context) -> Interpreter:
    """Return the interpreter of python_app_python: the host's own for none, else one in /usr/bin or a downloaded one.

    Raises ReleaseError when there is no such interpreter.
    """
    wanted = context.params["python"]
    if not wanted:
        return _inspect(SYSTEM_PYTHON)
    if not re.fullmatch(r"3\.\d+(\.\d+)?", wanted):
        raise ReleaseError(
            f"python_app_python is '{wanted}', which is not a version of Python.",
            'Write it like "3.12", or leave it empty for the host\'s own (the setting app_python).',
        )
    uv = [context.tools.uv, "python"]
    environment = variables(
        HOME="/root",
        UV_NO_CACHE="1",
        UV_PYTHON_INSTALL_DIR=str(PYTHONS),
        UV_PYTHON_PREFERENCE="system",
        UV_PYTHON_SEARCH_PATH="/usr/bin",
    )
    find = [*uv, "find", "--no-project", "--system", wanted]
    found = run(find, Path("/"), environment)
    if found.code:
        install = [*uv, "install", "--no-bin", wanted]
        need(
            run(install, Path("/"), environment | {"UV_PYTHON_DOWNLOADS": "manual"}),
            f"Python {wanted} is not available: it is not in /usr/bin, and its download failed.",
            "Allow the host to reach the download, or set python_app_python (the setting app_python) to a version that "
            f"the host has ({_inspect(SYSTEM_PYTHON).version}).",
            causes=(),
        )
        found = run(find, Path("/"), environment)
        need(found, f"Python {wanted} is missing after its download.", "Run this again.")
    return _inspect(found.stdout.strip())


def _inspect(path: str) -> Interpreter:
    """Return the interpreter at a path."""
    result = need(run([path, "-I", "-S", "-c", _INSPECT]), f"{path} does not run.", "Install Python on the host.")
    version, abi, prefix = json.loads(result.stdout)
    return Interpreter(path, version, f"{abi} {prefix}")


def check_interpreter(context: Context, interpreter: Interpreter, project: dict[str, Any]) -> None:
    """Raise ReleaseError when the app does not support the interpreter, by its pyproject.toml, whose content is `project`.

    uv and poetry accept any interpreter when they export a lock file or resolve requirements.
    """
    if wanted := project.get("project", {}).get("requires-python"):
        # A directory with only this interpreter: uv finds it there when its version matches.
        directory = context.release.work / "interpreter"
        directory.mkdir()
        (directory / "python3").symlink_to(interpreter.path)
        find = [context.tools.uv, "python", "find", "--no-project", "--no-managed-python", "--system", str(wanted)]
        result = context.builder.run(find, UV_PYTHON_SEARCH_PATH=str(directory))
    elif wanted := project.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python"):
        python = str(context.tools.ensure_poetry().python)
        result = context.builder.run([python, "-I", "-c", _POETRY_ALLOWS, str(wanted), interpreter.version])
    else:
        return
    need(
        result,
        f"The app requires Python {wanted} (pyproject.toml), and the build would use {interpreter.version} ({interpreter.path}).",
        'Set python_app_python (the setting app_python) to a version that the app supports, such as "3.12", and run this again.',
        causes=(),
    )
