"""The environment that the lab runs: its settings as they are, with the lab's endpoints laid over them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from lab.console import LabError
from lab.layout import GIT_URL, OVERRIDES, PRIVATE, PUBLIC, REPOSITORY, STATE

OWN = "lab"
_NAME = STATE / "environment"
_VALUES = OVERRIDES / "group_vars/all.yml"
# Settings of the lab's own environment that lead to the lab instead of AWS and this machine's owner.
_ENDPOINTS = (
    "acme_directory",
    "acme_ca_url",
    "aws_endpoint_url",
    "network_cidr",
    "ssh_public_key_file",
    "ssh_allowed_cidrs",
    "database_ca_url",
    "database_deletion_protection",
    "cloudwatch_agent_url",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
)


def current() -> str:
    """Return the name of the environment that the lab runs."""
    return _NAME.read_text() if _NAME.exists() else OWN


def directory(name: str) -> Path:
    """Return an environment's directory. Raises LabError when there is none."""
    found = REPOSITORY / "inventory" / name
    if not (found / "group_vars/all.yml").is_file():
        known = ", ".join(sorted(path.parent.parent.name for path in REPOSITORY.glob("inventory/*/group_vars/all.yml")))
        raise LabError(
            f"There is no environment '{name}' in inventory/; there are: {known}. Create it: bin/init REPOSITORY --env {name}"
        )
    return found


def file(name: str) -> Path:
    """Return the settings file of an environment."""
    return directory(name) / "group_vars/all.yml"


def settings() -> dict[str, Any]:
    """Return the effective settings: the environment's, overridden by the lab's endpoints and the options of `up`."""
    return _read(file(current())) | _read(_VALUES)


def stored() -> dict[str, Any]:
    """Return the overrides of the last `up`."""
    return _read(_VALUES)


def store(name: str, wanted: Mapping[str, Any]) -> None:
    """Store the environment and its overrides as an additional inventory source, so that later runs use them."""
    _VALUES.parent.mkdir(parents=True, exist_ok=True)
    values = {**(_relocated() if name == OWN else _laid_over(_read(file(name)))), **wanted}
    _VALUES.write_text(yaml.safe_dump(values) if values else "{}\n")
    (OVERRIDES / "hosts.yml").write_text("all: {}\n")
    _NAME.write_text(name)


def repository_of(name: str) -> Path | None:
    """Return the directory on this machine that an environment's app is fetched from; None for a git server."""
    url = str(_read(file(name)).get("app_repository") or "")
    return Path(unquote(url.removeprefix("file://"))) if url.startswith("file://") else None


def _read(path: Path) -> dict[str, Any]:
    """Return a settings file's values. Raises LabError for one that is not YAML."""
    try:
        return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise LabError(
            f"{path}{line}: is not valid YAML: {error.problem}. Fix it and run the same command again."
        ) from None


def _own_settings() -> dict[str, Any]:
    """Return the settings of inventory/lab, which has the addresses and directories of lab 1, adapted to this lab."""
    text = file(OWN).read_text()
    for start, ours in (("10.213.", PRIVATE), ("10.214.", PUBLIC)):
        text = text.replace(start, "{}.{}.".format(*str(ours).split(".")))
    found: dict[str, Any] = yaml.safe_load(text.replace("/var/lib/outport-lab/", f"{STATE}/"))
    return found


def _relocated() -> dict[str, Any]:
    first = _read(file(OWN))
    return {name: value for name, value in _own_settings().items() if value != first[name]}


def _laid_over(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the lab lays over the settings of an environment."""
    own = _own_settings()
    found = {name: own[name] for name in _ENDPOINTS}
    if str(values.get("app_repository") or "").startswith("file://"):
        found["app_repository"] = f"{GIT_URL}/app.git"
    if values.get("site_domain") and not values.get("dns_zone"):
        # The lab's DNS serves the names in Route 53.
        found["dns_zone"] = values["site_domain"]
    if values.get("app_secrets"):
        # Only the account's own KMS decrypts them; the lab generates others.
        found["app_secrets"] = {}
        found["app_generated_secrets"] = [*(values.get("app_generated_secrets") or []), *values["app_secrets"]]
    return found
