"""A real Chromium that resolves the site's name to the lab."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from lab import operations
from lab.commands import run

CHROMIUM = "/usr/bin/chromium"
# No background requests to the internet; the sandbox needs privileges that a container lacks.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def install() -> None:
    """Install Debian's Chromium and fonts unless they are installed."""
    if not shutil.which(CHROMIUM):
        packages = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"]
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=120)
        subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", *packages],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=500,
        )


@contextmanager
def chromium(domain: str, address: str) -> Iterator[Browser]:
    """Yield a browser that resolves `domain` to `address`, and no other name."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_OPTIONS, f"--host-resolver-rules=MAP {domain} {address}, MAP * ~NOTFOUND"]
        )
        try:
            yield browser
        finally:
            browser.close()


def add_moderator(name: str, password: str) -> None:
    """Create a moderator as an operator does: on the first host, as the app."""
    command = f"sudo /opt/outport/run /srv/listings flask --app run moderator add {name} --password-stdin"
    run([*operations.ssh_command(operations.find_host("web-1")), command], input_text=f"{password}\n", timeout=60)
