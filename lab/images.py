"""The root file systems of hosts and databases, built once with mmdebstrap and cached."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from lab import cgroups
from lab.commands import run
from lab.console import LabError
from lab.layout import CACHE, USER

# Packages of Debian's EC2 image, which roles may rely on.
_HOST_PACKAGES = (
    "apt-utils,ca-certificates,curl,dbus,iproute2,less,libpam-systemd,openssh-server,procps,python3,python3-apt,sudo,"
    "systemd,systemd-resolved,systemd-sysv,unattended-upgrades"
)
_STUB = Path(__file__).parent / "cloud_init"
# Files of the stub of cloud-init by their path on a host.
_CLOUD_INIT = {
    "usr/bin/cloud-init": _STUB / "cloud-init",
    "etc/systemd/system/cloud-final.service": _STUB / "cloud-final.service",
    "etc/systemd/system/ssh.service.d/first-boot.conf": _STUB / "ssh.conf",
}
_EXTRA_CAS = Path("/usr/local/share/ca-certificates")
_BUILD_TIMEOUT = 600


def host_image(suite: str) -> Path:
    """Return the path of a host's root file system for `suite`; the name has a digest of its recipe."""
    recipe = hashlib.sha256(Path(__file__).read_bytes())
    for file in (*_CLOUD_INIT.values(), *sorted(_EXTRA_CAS.glob("*.crt"))):
        recipe.update(file.read_bytes())
    return CACHE / f"{suite}-{recipe.hexdigest()[:12]}"


def mysql_image() -> Path:
    """Return the path of mysqld's root file system: Debian unstable, because stable has no MySQL."""
    return CACHE / "mysql-9"


def build_host(suite: str, log: Path) -> None:
    """Build the host image of `suite` unless it exists."""

    def build(tree: Path) -> None:
        _bootstrap(["--variant=minbase", f"--include={_HOST_PACKAGES}", suite], tree, log)
        _configure_as_ec2_image(tree, log)

    _build(host_image(suite), build)


def build_mysql(log: Path) -> None:
    """Build the MySQL image unless it exists."""

    def build(tree: Path) -> None:
        # The Release file of unstable may have expired on a mirror.
        options = [
            "--variant=extract",
            "--include=mysql-server-core,mysql-client-core",
            '--aptopt=Acquire::Check-Valid-Until "false"',
        ]
        _bootstrap([*options, "sid"], tree, log)
        for name in ("bin", "sbin", "lib", "lib64"):
            if not (tree / name).exists() and (tree / "usr" / name).exists():
                (tree / name).symlink_to(f"usr/{name}")
        for name in ("proc", "sys", "run", "root", "tmp", "data"):
            (tree / name).mkdir(exist_ok=True)

    _build(mysql_image(), build)


def _build(image: Path, build: Callable[[Path], None]) -> None:
    if image.exists():
        return
    partial = image.with_name(f"{image.name}.partial")
    _remove(partial)
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        build(partial)
    except LabError as error:
        _remove(partial)
        raise LabError(
            f"{error} Check that the package mirror is reachable, and that {CACHE} has free space."
        ) from None
    partial.rename(image)


def _remove(tree: Path) -> None:
    if tree.exists():
        shutil.rmtree(tree)


def _bootstrap(arguments: list[str], tree: Path, log: Path) -> None:
    # In its own mount namespace, so that nothing remains mounted when it is killed.
    command = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--format=directory", *arguments]
    cgroups.run_to_end("build", [*command, tree], log, _BUILD_TIMEOUT)


def _configure_as_ec2_image(tree: Path, log: Path) -> None:
    files = {
        "etc/machine-id": "",
        "etc/sudoers.d/90-cloud-init-users": f"{USER} ALL=(ALL) NOPASSWD:ALL\n",
        "etc/ssh/sshd_config.d/50-cloud-init.conf": "PasswordAuthentication no\nPermitRootLogin no\n",
        "etc/default/locale": "LANG=C.UTF-8\n",
    }
    for name, content in files.items():
        (tree / name).write_text(content)
    for name, file in _CLOUD_INIT.items():
        (tree / name).parent.mkdir(exist_ok=True)
        shutil.copy(file, tree / name)
    (tree / "usr/bin/cloud-init").chmod(0o755)
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    # A company's proxy may re-sign TLS: hosts trust the CAs of this machine.
    for authority in _EXTRA_CAS.glob("*.crt"):
        shutil.copy(authority, tree / _EXTRA_CAS.relative_to("/"))
    script = f"""set -e
useradd --create-home --shell /bin/bash --groups adm,sudo {USER}
passwd --lock root
update-ca-certificates
systemctl enable systemd-networkd systemd-resolved ssh cloud-final
systemctl disable systemd-networkd-wait-online
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
rm -f /etc/hostname
touch --date=2026-01-01 /var/lib/apt/lists
"""
    run(["chroot", tree, "/bin/sh", "-c", script], log=log)
