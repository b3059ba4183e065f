"""A host: Debian with systemd as its init, on a copy-on-write layer over a cached image."""

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from lab import cgroups
from lab.certificates import CA
from lab.commands import run
from lab.images import host_image
from lab.layout import BRIDGE, GATEWAY, HOSTS, LOGS, PRIVATE, USER

# Seconds of the first boot: until the SSH server responds, and until cloud-init is done, which takes minutes on AWS.
_SSH_SECONDS = os.environ.get("OUTPORT_LAB_SSH_SECONDS", "5")
_BOOT_SECONDS = os.environ.get("OUTPORT_LAB_BOOT_SECONDS", "10")
# Exit status of systemd-nspawn when the host requests a reboot.
_REBOOT = 133
_started: dict[str, Popen[bytes]] = {}
# When a host was told to shut down, and how long it may take.
_shutdowns: dict[str, float] = {}
_SHUTDOWN_SECONDS = 60


@dataclass(frozen=True)
class HostSpec:
    """The specification of a host: `suite` of Debian, `address` IPv4, `public_key` an OpenSSH line or empty."""

    id: str
    suite: str
    address: str
    public_key: str


def log(host_id: str) -> Path:
    """Return the log of the host's console."""
    return LOGS / f"host-{host_id}.log"


def group(host_id: str) -> str:
    """Return the control group of a host's processes."""
    return f"host-{host_id}"


def start(spec: HostSpec) -> None:
    """Boot a host, from its existing disk if any. Returns immediately; see `reachable`."""
    directory = HOSTS / spec.id
    root = directory / "root"
    for name in ("upper", "work", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    if not root.is_mount():
        layers = f"lowerdir={host_image(spec.suite)},upperdir={directory / 'upper'},workdir={directory / 'work'}"
        run(["mount", "-t", "overlay", f"outport-lab-{spec.id}", "-o", layers, root])
    if not (directory / "prepared").exists():
        _first_boot(root, spec)
        (directory / "prepared").touch()
    options = [
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        f"--network-bridge={BRIDGE}",
        "--resolv-conf=off",
        "--link-journal=no",
    ]
    _shutdowns.pop(spec.id, None)
    _started[spec.id] = cgroups.spawn(
        group(spec.id),
        ["systemd-nspawn", *options, "--console=pipe", f"--machine={spec.id}", "-D", root],
        log(spec.id),
    )


def _first_boot(root: Path, spec: HostSpec) -> None:
    """Do what cloud-init does at an instance's first boot: host name, network, the key pair's public key, host keys."""
    name = f"ip-{spec.address.replace('.', '-')}"
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{spec.address} {name}\n")
    (root / "etc/systemd/network/10-host0.network").write_text(
        f"[Match]\nName=host0\n\n[Network]\nAddress={spec.address}/{PRIVATE.prefixlen}\n"
        f"Gateway={GATEWAY}\nDNS={GATEWAY}\nLinkLocalAddressing=no\n"
    )
    (root / "etc/default/cloud-init").write_text(f"SSH_SECONDS={_SSH_SECONDS}\nBOOT_SECONDS={_BOOT_SECONDS}\n")
    home = root / "home" / USER
    owner = home.stat()
    ssh = home / ".ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    keys = ssh / "authorized_keys"
    keys.write_text(f"{spec.public_key.strip()}\n")
    keys.chmod(0o600)
    for path in (ssh, keys):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    run(["ssh-keygen", "-q", "-A", "-f", root])
    # As an image of a company with a certificate authority of its own: the git server's certificate is from the lab's.
    authority = CA.read_text()
    (root / "usr/local/share/ca-certificates/outport-lab.crt").write_text(authority)
    with (root / "etc/ssl/certs/ca-certificates.crt").open("a") as bundle:
        bundle.write(authority)


def host_keys(host_id: str) -> list[str]:
    """Return the host's public SSH keys, each as 'type base64'."""
    files = sorted((HOSTS / host_id / "root/etc/ssh").glob("ssh_host_*_key.pub"))
    return [" ".join(path.read_text().split()[:2]) for path in files]


def running(host_id: str) -> bool:
    """Return whether the host has a process."""
    return cgroups.alive(group(host_id))


def rebooting(host_id: str) -> bool:
    """Return whether a host that this process started has exited for a reboot."""
    return host_id in _started and _started[host_id].poll() == _REBOOT


def reachable(address: str) -> bool:
    """Return whether the host's SSH port responds within half a second."""
    try:
        with socket.create_connection((address, 22), timeout=0.5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def shut_down(host_id: str) -> None:
    """Tell the host to shut down, as EC2 does at a stop; call it until the host does not run. After a minute it is powered off."""
    if host_id in _started and host_id not in _shutdowns:
        _shutdowns[host_id] = time.monotonic()
        # Once only: at the second signal systemd-nspawn ends at once.
        _started[host_id].terminate()
    elif time.monotonic() - _shutdowns.get(host_id, 0) > _SHUTDOWN_SECONDS:
        stop(host_id)


def stop(host_id: str) -> None:
    """Power the host off; its disk remains."""
    cgroups.kill(group(host_id))


def destroy(host_id: str) -> None:
    """Stop the host and remove its disk."""
    stop(host_id)
    root = HOSTS / host_id / "root"
    if root.is_mount():
        run(["umount", root])
    if root.parent.exists():
        shutil.rmtree(root.parent)


def destroy_all() -> None:
    """Stop every host and remove every disk."""
    if HOSTS.exists():
        for directory in HOSTS.iterdir():
            destroy(directory.name)


def exists(host_id: str) -> bool:
    """Return whether the host has a disk."""
    return (HOSTS / host_id).exists()
