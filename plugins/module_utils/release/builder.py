"""The build user: unprivileged, runs the code of an app and of its dependencies, and owns nothing else."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ansible.module_utils.release.commands import Result, need, run
from ansible.module_utils.release.layout import BUILDER_CACHE, BUILDER_HOME

BUILDER = "outport-build"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def variables(app: dict[str, str] | None = None, **more: str) -> dict[str, str]:
    """Return the environment variables of a tool: those of this process, such as a proxy's, of the app, and the builder's own."""
    dropped = ("PYTHON", "VIRTUAL_ENV", "SUDO_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(dropped)},
        **(app or {}),
        "HOME": str(BUILDER_HOME),
        "PATH": PATH,
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "UV_CACHE_DIR": str(BUILDER_CACHE),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        # The system's CAs, which may include that of a company's proxy.
        "UV_SYSTEM_CERTS": "1",
        **more,
    }


@dataclass
class Builder:
    """The build user; its commands run in `directory`, which need not exist yet.

    `locks` are file descriptors that its commands inherit: commands that outlive an interrupted run still hold the lock.
    `netrc` is a file with the passwords of package indexes, None for none; `access` the variables with which git reads repositories.
    """

    directory: Path
    locks: tuple[int, ...] = ()
    netrc: Path | None = None
    access: dict[str, str] = field(default_factory=dict)

    def ensure(self) -> None:
        """Create the user unless it exists."""
        try:
            pwd.getpwnam(BUILDER)
        except KeyError:
            useradd = ["/usr/sbin/useradd", "--system", f"--home-dir={BUILDER_HOME}", "--create-home"]
            need(
                run([*useradd, "--shell=/usr/sbin/nologin", BUILDER]),
                f"The user {BUILDER} could not be created.",
                "Fix the cause above, and run this again.",
            )

    def run(
        self,
        argv: list[str],
        cwd: Path | None = None,
        *,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        app_variables: dict[str, str] | None = None,
        **more: str,
    ) -> Result:
        """Run a command as the build user; `more` are additional environment variables, which take precedence over the app's."""
        return run(
            ["/usr/sbin/runuser", "-u", BUILDER, "--", *argv],
            cwd or self.directory,
            variables(app_variables, **({"NETRC": str(self.netrc)} if self.netrc else {}), **self.access, **more),
            stdin=stdin,
            stdout=stdout,
            pass_fds=self.locks,
        )

    def read(self, path: Path) -> str:
        """Read a file of the app as the build user: a link in the app must not expose root's files."""
        return need(
            self.run(["cat", str(path)]), f"{path.name} can't be read.", "Make it a plain file of the app."
        ).stdout

    def make_directory(self, path: Path) -> Path:
        """Create a directory and its parents for the build user; return it."""
        path.mkdir(parents=True)
        user = pwd.getpwnam(BUILDER)
        os.chown(path, user.pw_uid, user.pw_gid)
        return path
