"""One change of an app's releases at a time on a host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App

# Longer than a build: an interrupted run may still be working.
_TIMEOUT = 900


@contextlib.contextmanager
def locked(app: App, purpose: str, timeout: float = _TIMEOUT) -> Iterator[int]:
    """Hold the host's lock of an app for `purpose`, such as 'build of 0123'. Yields the file descriptor, for commands that inherit the lock.

    Raises ReleaseError, which names the holder, when the lock is not free within `timeout` seconds.
    """
    app.releases.mkdir(parents=True, exist_ok=True)
    with app.host_lock.open("a+") as file:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    holder = file.read().strip() or "a process that fuser -v shows"
                    raise ReleaseError(
                        f"Another run changes the releases of {app.name} on this host: {holder}. Nothing was changed.",
                        f"Wait until it ends, or stop it, and run this again. The lock is {file.name}.",
                    ) from None
                time.sleep(0.2)
        file.truncate(0)
        file.write(f"{purpose}, process {os.getpid()}, since {time.strftime('%H:%M:%S')}")
        file.flush()
        yield file.fileno()
        file.truncate(0)
