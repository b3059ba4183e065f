"""A real Chromium at the lab's site, and what it is asked about each page."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# Nothing of it looks for anything on the internet; the sandbox needs what a container does not have.
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
    """Install Debian's Chromium, and fonts for what people write, where they are not there yet."""
    if not shutil.which(CHROMIUM):
        packages = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"]
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=120)
        subprocess.run(
            ["apt-get", "install", "--yes", "--no-install-recommends", *packages],
            env={"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=500,
        )


@contextmanager
def chromium(domain: str, address: str) -> Iterator[Browser]:
    """Give a browser to which the name `domain` leads to `address`, and every other name nowhere."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*_OPTIONS, f"--host-resolver-rules=MAP {domain} {address}, MAP * ~NOTFOUND"]
        )
        try:
            yield browser
        finally:
            browser.close()


def complaints(page: Page) -> list[str]:
    """Return what axe-core holds against the page."""
    found = Axe().run(page).response["violations"]
    return [f"{entry['id']} ({entry['impact']}): {entry['nodes'][0]['html'][:200]}" for entry in found]


def listen(page: Page) -> list[str]:
    """Return a list that fills with what the page's console calls an error."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    return errors
