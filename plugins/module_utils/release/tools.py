"""The build tools, uv and poetry: installed by root from their lock files, and shared by the apps of a host."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from ansible.module_utils.release.builder import variables
from ansible.module_utils.release.commands import need, run
from ansible.module_utils.release.files import finish
from ansible.module_utils.release.layout import TOOLS, TOOLS_LOCK, Tool

SYSTEM_PYTHON = "/usr/bin/python3"
_FIX = "Check that the host can reach the package index, and run this again."


@dataclass(frozen=True)
class Tools:
    """The build tools; `locks` has the contents of the lock files of uv, poetry and gunicorn."""

    locks: dict[str, str]

    def tool(self, name: str) -> Tool:
        """Return the locked version of a tool, installed or not."""
        return Tool(name, hashlib.sha256(self.locks[name].encode()).hexdigest()[:12])

    @property
    def uv(self) -> str:
        """The path of uv."""
        return str(self.tool("uv").program)

    def ensure_uv(self) -> None:
        """Install uv unless it exists."""
        uv = self.tool("uv")
        with _installing(uv) as missing:
            if missing:
                venv = run([SYSTEM_PYTHON, "-m", "venv", str(uv.directory)])
                need(venv, "The virtual environment of uv could not be created.", _FIX)
                uv.requirements.write_text(self.locks["uv"])
                pip = [f"{uv.directory}/bin/pip", "--quiet", "--disable-pip-version-check", "install"]
                result = run([*pip, "--only-binary=:all:", "--require-hashes", "--requirement", str(uv.requirements)])
                need(result, "uv could not be installed.", _FIX)

    def ensure_poetry(self) -> Tool:
        """Install poetry with uv unless it exists; return it."""
        poetry = self.tool("poetry")
        with _installing(poetry) as missing:
            if missing:
                poetry.requirements.write_text(self.locks["poetry"])
                # Wheels only: installing one runs no code. Not the shared cache, which the builder can write to.
                environment = variables(UV_NO_CACHE="1")
                venv = ["venv", "--python", SYSTEM_PYTHON, "--allow-existing", str(poetry.directory)]
                sync = ["pip", "sync", "--require-hashes", "--no-build", "--compile-bytecode", "--link-mode=copy"]
                for words in (venv, [*sync, f"--python={poetry.python}", str(poetry.requirements)]):
                    need(run([self.uv, *words], env=environment), "poetry could not be installed.", _FIX)
        return poetry


@contextlib.contextmanager
def _installing(tool: Tool) -> Iterator[bool]:
    """Hold the lock of the tools, and yield whether the tool has to be installed into its new, empty directory."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with TOOLS_LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # After an upgrade of the system, a tool in Python has lost its interpreter.
        if tool.installed.exists() and tool.python.exists():
            yield False
            return
        shutil.rmtree(tool.directory, ignore_errors=True)
        tool.directory.mkdir()
        yield True
        finish(tool.installed)
