"""The lab's hosts, from inside and from outside."""

from lab import operations
from lab.commands import run
from lab.layout import SITE_CA
from lab.repositories import HEADER
from lab.visitor import Visitor

APP = "/srv/listings"


def on_host(command: str, host: str = "web-1", text: str | None = None, timeout: float = 120) -> str:
    """The output of a command on a host, with `text` as its input; LabError when it fails or takes longer than `timeout` seconds."""
    return run([*operations.ssh_command(operations.find_host(host)), command], timeout=timeout, input_text=text).strip()


def live(host: str = "web-1") -> str:
    """The release that serves on a host."""
    return on_host(f"basename $(readlink {APP}/live)", host)


def releases() -> set[str]:
    """The releases that the first host has."""
    return set(on_host(f"ls {APP}/releases").split())


def units() -> set[str]:
    """The app's services that are loaded on the first host."""
    lines = on_host("systemctl list-units --plain --no-legend 'listings@*.service' 'listings-*@*.service'").splitlines()
    return {line.split()[0] for line in lines}


def visitor_of(host: str) -> Visitor:
    """A visitor of the site who reaches this host, whichever else the name leads to."""
    return Visitor(str(operations.settings()["site_domain"]), operations.find_host(host).public, SITE_CA)


def shown(host: str = "web-1") -> str | None:
    """The mark of the change that a host's app shows to a visitor; None for what the settings deploy."""
    return visitor_of(host).get("/healthz").headers.get(HEADER.lower())


def serves(host: str) -> bool:
    """Whether a host answers a visitor, from its database too."""
    try:
        return visitor_of(host).get("/api/v1/listings").status == 200
    except OSError:
        return False
