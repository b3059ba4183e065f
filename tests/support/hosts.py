"""Commands on the lab's hosts, and requests to them."""

from lab import operations
from lab.commands import run
from lab.layout import SITE_CA
from lab.repositories import HEADER
from lab.visitor import Visitor

APP = "/srv/listings"


def on_host(command: str, host: str = "web-1", text: str | None = None, timeout: float = 120) -> str:
    """Return the output of a command on a host, with `text` as its input. Raises LabError when it fails or exceeds `timeout` seconds."""
    return run([*operations.ssh_command(operations.find_host(host)), command], timeout=timeout, input_text=text).strip()


def live(host: str = "web-1") -> str:
    """Return the live release of a host."""
    return on_host(f"basename $(readlink {APP}/live)", host)


def releases() -> set[str]:
    """Return the releases of the first host."""
    return set(on_host(f"ls {APP}/releases").split())


def units() -> set[str]:
    """Return the app's loaded services on the first host, except those that complete their last requests."""
    lines = on_host("systemctl list-units --plain --no-legend 'listings@*.service' 'listings-*@*.service'").splitlines()
    return {line.split()[0] for line in lines if line.split()[2] != "deactivating"}


def visitor_of(host: str) -> Visitor:
    """Return a client of the site that connects to this host."""
    return Visitor(str(operations.settings()["site_domain"]), operations.find_host(host).public, SITE_CA)


def shown(host: str = "web-1") -> str | None:
    """Return the mark in a host's responses; None for the release of the settings."""
    return visitor_of(host).get("/healthz").headers.get(HEADER.lower())


def serves(host: str) -> bool:
    """Return whether a host responds, including from its database."""
    try:
        return visitor_of(host).get("/api/v1/listings").status == 200
    except OSError:
        return False
