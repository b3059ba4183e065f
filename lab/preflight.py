"""Preflight checks that the lab can run on this machine, and installation of its packages."""

import os
import shutil
from pathlib import Path

from lab import cgroups, network
from lab.commands import run
from lab.console import LabError
from lab.layout import CACHE, STATE

_PACKAGES = (
    "ca-certificates",
    "debian-archive-keyring",
    "dnsmasq-base",
    "dpkg",
    "git",
    "iproute2",
    "mmdebstrap",
    "nftables",
    "openssh-client",
    "pebble",
    "systemd-container",
)
_NEED_BYTES = 4 * 1024**3


def check(fresh: bool) -> None:
    """Raise LabError for the first requirement that is not met; `fresh` is whether nothing of the lab runs yet."""
    if os.geteuid() != 0:
        raise LabError("The lab boots hosts and creates a network, so it needs root. Run: sudo bin/lab up")
    _check_system()
    cgroups.check()
    for directory in (CACHE, STATE):
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < _NEED_BYTES:
            raise LabError(
                f"The lab needs {_NEED_BYTES // 1024**3} GiB free in {directory}; found {free / 1024**3:.1f} GiB. "
                "Free some space; 'bin/lab purge' removes the lab's cache and logs."
            )
    if fresh:
        if shutil.which("ip"):
            network.check_free()
        if shutil.which("nft"):
            network.check_firewall()


def _check_system() -> None:
    pairs = (line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    release = {key: value.strip('"') for key, value in pairs}
    system, version = release.get("ID", ""), release.get("VERSION_ID", "0")
    oldest = {"debian": 12.0, "ubuntu": 24.04}
    if system not in oldest or float(version) < oldest[system]:
        raise LabError(
            f"The lab runs on Debian 12 or newer and Ubuntu 24.04 or newer; this is {release.get('PRETTY_NAME', 'unknown')}. "
            "Use such a machine; a virtual machine is sufficient."
        )


def missing_packages() -> list[str]:
    """Return the required Debian packages that this machine lacks."""
    listed = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"])
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return [name for name in _PACKAGES if name not in installed]


def install(packages: list[str], log: Path) -> None:
    """Install Debian packages; wait for another apt process."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=300"]
    run([*apt, "update"], log=log, env=quiet)
    run([*apt, "install", "--no-install-recommends", *packages], log=log, env=quiet)
