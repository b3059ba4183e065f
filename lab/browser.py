"""A real Chromium that resolves the site's name to the lab."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from lab import operations
from lab.commands import run
from lab.layout import BRIDGE, GATEWAY, NUMBER, PRIVATE

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
_NAMESPACE, _LINK = f"{BRIDGE}-browser", f"browser-{NUMBER}"
_ADDRESS = PRIVATE[250 * 256 + 1]


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
    with _own_network() as program, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*_OPTIONS, f"--host-resolver-rules=MAP {domain} {address}, MAP * ~NOTFOUND"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _own_network() -> Iterator[Path]:
    """Yield a program that runs Chromium with the lab's network only: it aborts its requests when an address of its machine changes."""
    _remove_network()
    try:
        run(["ip", "netns", "add", _NAMESPACE])
        # An IPv6 address becomes usable a moment later, which is a change.
        no_ipv6 = "for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $file ] || echo 1 >$file; done"
        run(["ip", "netns", "exec", _NAMESPACE, "sh", "-c", no_ipv6])
        run(["ip", "link", "add", _LINK, "type", "veth", "peer", "name", "eth0", "netns", _NAMESPACE])
        run(["ip", "link", "set", _LINK, "master", BRIDGE, "up"])
        inside = ["ip", "-netns", _NAMESPACE]
        run([*inside, "link", "set", "lo", "up"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "address", "add", f"{_ADDRESS}/{PRIVATE.prefixlen}", "dev", "eth0"])
        run([*inside, "route", "add", "default", "via", str(GATEWAY)])
        with TemporaryDirectory() as directory:
            program = Path(directory) / "chromium"
            program.write_text(f'#!/bin/sh\nexec ip netns exec {_NAMESPACE} {CHROMIUM} "$@"\n')
            program.chmod(0o755)
            yield program
    finally:
        _remove_network()


def _remove_network() -> None:
    """Remove the browser's network, which an interrupted run may have left."""
    if _NAMESPACE in run(["ip", "netns", "list"]).split():
        run(["ip", "netns", "delete", _NAMESPACE])


def add_moderator(name: str, password: str) -> None:
    """Create a moderator as an operator does: on the first host, as the app."""
    command = f"sudo /opt/outport/run /srv/listings flask --app run moderator add {name} --password-stdin"
    run([*operations.ssh_command(operations.find_host("web-1")), command], input_text=f"{password}\n", timeout=60)
