"""The parts of the lab that need no host: metadata, preflight checks, certificates, commands, load, terminal output."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import (
    certificates,
    cli,
    commands,
    console,
    environments,
    images,
    layout,
    metadata,
    network,
    operations,
    preflight,
    reconciler,
    services,
)
from lab import status as lab_status
from lab.console import LabError
from lab.load import Load, Plan, Result, Visit
from lab.status import DatabaseStatus, HostStatus, Status
from lab.visitor import Response

METADATA = {
    "meta-data/instance-id": "i-1",
    "meta-data/placement/region": "eu-west-1",
    "meta-data/placement/availability-zone": "eu-west-1a",
    "meta-data/iam/security-credentials/web": "{}",
}
TOKEN, LIFETIME = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"


# Instance metadata


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/instance-id", "i-1"),
        ("meta-data/placement/region", "eu-west-1"),
        ("meta-data/placement/", "availability-zone\nregion"),
        ("meta-data/placement", "availability-zone\nregion"),
        ("meta-data/", "iam/\ninstance-id\nplacement/"),
        ("", "meta-data/"),
        ("meta-data/iam/security-credentials/", "web"),
        ("meta-data/instance", None),
        ("user-data", None),
    ],
)
def test_metadata_is_a_text_or_the_names_below(path: str, text: str | None) -> None:
    assert metadata.find(METADATA, path) == text


class Service:
    """The metadata service on this machine's own addresses: 127.0.0.1 is a host, 127.0.0.2 another, 127.0.0.9 an unknown one."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, method: str, path: str, source: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
        """Return the status and the text of the response."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5, source_address=(source, 0))
        client.request(method, f"/latest/{path}", headers=headers)
        response = client.getresponse()
        text = response.read().decode()
        client.close()
        return response.status, text

    def token(self, lifetime: str = "60", source: str = "127.0.0.1") -> tuple[int, str]:
        """Request a token."""
        return self.request("PUT", "api/token", source, **{LIFETIME: lifetime})


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The metadata service on a free port."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        patch.setattr(metadata, "GATEWAY", "127.0.0.1")
        patch.setattr(metadata, "METADATA_PORT", port)
        hosts = {"127.0.0.1": METADATA, "127.0.0.2": METADATA}
        metadata.MetadataServer(hosts.get).start()
        yield Service(port)


def test_a_host_reads_its_metadata_with_its_token(service: Service) -> None:
    status, token = service.token()
    assert status == 200
    assert service.request("GET", "meta-data/instance-id", **{TOKEN: token}) == (200, "i-1")
    assert service.request("GET", "meta-data/no-such", **{TOKEN: token})[0] == 404


def test_without_a_token_there_is_no_metadata(service: Service) -> None:
    assert service.request("GET", "meta-data/instance-id")[0] == 401
    assert service.request("GET", "meta-data/instance-id", **{TOKEN: "made-up"})[0] == 401


def test_another_hosts_token_is_rejected(service: Service) -> None:
    _, token = service.token()
    assert service.request("GET", "meta-data/instance-id", "127.0.0.2", **{TOKEN: token})[0] == 401


def test_an_unknown_address_gets_no_metadata(service: Service) -> None:
    _, token = service.token(source="127.0.0.9")
    assert service.request("GET", "meta-data/instance-id", "127.0.0.9", **{TOKEN: token})[0] == 404


def test_a_token_expires(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = service.token("60")
    later = metadata.time.monotonic() + 61
    monkeypatch.setattr(metadata.time, "monotonic", lambda: later)
    assert service.request("GET", "meta-data/instance-id", **{TOKEN: token})[0] == 401


@pytest.mark.parametrize("lifetime", ["", "0", "21601", "-1", "soon"])
def test_a_tokens_lifetime_is_one_second_to_six_hours(service: Service, lifetime: str) -> None:
    assert service.token(lifetime)[0] == 400


# Preflight checks


def routes(monkeypatch: pytest.MonkeyPatch, *found: dict[str, str]) -> None:
    """Fake this machine's routes, without addresses."""
    monkeypatch.setattr(network, "run", lambda argv: json.dumps(found if "route" in argv else []))


def test_an_address_inside_the_labs_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    link = {"ifname": "dummy0", "addr_info": [{"local": "10.213.0.1", "prefixlen": 32}]}
    monkeypatch.setattr(network, "run", lambda argv: json.dumps([link] if "address" in argv else []))
    with pytest.raises(LabError, match=r"already reaches 10\.213\.0\.1/32 through 'dummy0'"):
        network.check_free()


def ruleset(monkeypatch: pytest.MonkeyPatch, *entries: dict[str, object]) -> None:
    """Fake this machine's firewall rules."""
    monkeypatch.setattr(network, "run", lambda argv: json.dumps({"nftables": entries}))


DROP = {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}}


def test_a_firewall_that_blocks_the_hosts_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset(monkeypatch, DROP)
    with pytest.raises(
        LabError, match=r"table filter, chain FORWARD.*nft insert rule ip filter FORWARD iifname outport-lab accept"
    ):
        network.check_firewall()


def test_a_firewall_with_a_rule_for_the_lab_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset(monkeypatch, DROP, {"rule": {"expr": [{"match": {"right": layout.BRIDGE}}, {"accept": None}]}})
    network.check_firewall()


def test_a_used_port_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(network, "GATEWAY", "127.0.0.1")
        for name in (
            "AWS_PORT",
            "ACME_PORT",
            "ACME_MANAGEMENT_PORT",
            "METADATA_PORT",
            "FILES_PORT",
            "DNS_PORT",
            "GIT_PORT",
        ):
            monkeypatch.setattr(network, name, taken.getsockname()[1])
        with pytest.raises(LabError, match=rf"Port {taken.getsockname()[1]} is used.*Stop it while the lab is up"):
            network.check_ports()


def store_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str = "lab", **wanted: object) -> None:
    """Store options of `up` for a running lab with the default settings."""
    fake_state(monkeypatch, tmp_path)
    operations._store_options("lab", {}, fresh=True)
    operations._store_options(name, wanted, fresh=False)


def fake_state(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Store the environment that the lab runs, and what is laid over it, in a directory."""
    monkeypatch.setattr(environments, "OVERRIDES", directory)
    monkeypatch.setattr(environments, "_VALUES", directory / "group_vars/all.yml")
    monkeypatch.setattr(environments, "_NAME", directory / "environment")


def in_lab(number: str, *statements: str) -> subprocess.CompletedProcess[str]:
    """Return the output of Python statements, in the lab of this number."""
    return subprocess.run(
        [sys.executable, "-c", "; ".join(statements)],
        cwd=layout.REPOSITORY,
        env={**os.environ, layout.VARIABLE: number},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_lab_shares_nothing_but_the_images() -> None:
    """Including everything that its settings name."""
    shown = [
        in_lab(
            number,
            "from lab import environments, layout",
            "places = {n: str(v) for n, v in vars(layout).items() if n.isupper()}",
            "settings = {n: str(v) for n, v in environments.settings().items()} | environments._relocated()",
            "import json; print(json.dumps([places, {n: str(v) for n, v in settings.items()}]))",
        )
        for number in ("1", "2")
    ]
    (first, settings), (second, others) = (json.loads(found.stdout) for found in shown)
    assert {
        name for name in first if first[name] == second[name] and first[name].startswith(("/var/", "/run", "10."))
    } == {"CACHE"}
    assert second["PRIVATE"] == "10.215.0.0/16"
    for value in others.values():
        assert "10.213." not in value
        assert "10.214." not in value
        assert "/outport-lab/" not in value
    assert others["ssh_allowed_cidrs"] == "['10.215.0.0/16', '10.216.0.0/24']"
    assert settings["ssh_allowed_cidrs"] == "['10.213.0.0/16', '10.214.0.0/24']"


@pytest.mark.parametrize("number", ["0", "10", "two", "-1"])
def test_an_invalid_lab_number_is_rejected(number: str) -> None:
    done = in_lab(number, "import lab.layout")
    assert done.returncode == 1
    assert f"OUTPORT_LAB is the number of a lab, 1 to 9; found '{number}'" in done.stderr


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A fake clock for the reconciler; calling it advances it."""
    now = [1000.0]
    monkeypatch.setattr(reconciler.time, "monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_a_host_that_exits_is_reported_with_its_log(clock: Callable[[float], None], tmp_path: Path) -> None:
    """And retried with backoff until it starts."""
    log = tmp_path / "host.log"
    log.write_text("booting\nno such program: /sbin/init\n")
    starts = reconciler.Starts()
    assert starts.may_start("host web-1", log)
    assert starts.problems == {}
    clock(0.3)
    assert not starts.may_start("host web-1", log)
    assert starts.problems == {"host web-1": "it exited 0 s after its start\n  booting\n  no such program: /sbin/init"}
    waited = []
    for _ in range(3):
        seconds = 0
        while not starts.may_start("host web-1", log):
            clock(1)
            seconds += 1
        waited.append(seconds)
        clock(1)
    assert waited == sorted(waited)
    assert waited[0] < waited[-1]
    starts.clear("host web-1")
    assert starts.problems == {}
    assert starts.may_start("host web-1", log)


def test_an_instance_runs_before_its_ssh_server_responds(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And is reported when that takes too long."""
    host = {"running": False, "reachable": False}
    states = ["pending"]
    monkeypatch.setattr(reconciler.hosts, "log", lambda _: tmp_path / "log")
    monkeypatch.setattr(reconciler.hosts, "start", lambda _: host.update(running=True))
    monkeypatch.setattr(reconciler.hosts, "running", lambda _: host["running"])
    monkeypatch.setattr(reconciler.hosts, "reachable", lambda _: host["reachable"])
    monkeypatch.setattr(reconciler.cloud, "set_running", lambda _: states.append("running"))
    lab = reconciler.Reconciler(dns=None)

    def reconcile() -> dict[str, str]:
        details = ("i-1", "web-1", "eu-west-1", "eu-west-1a", "t3.small", "ami-1", "trixie", states[-1])
        lab._reconcile_host(reconciler.Instance(*details, "10.213.1.4", "10.214.0.9", "", ""))
        return lab._starts.problems

    assert reconcile() == {}
    assert states == ["pending", "running"]
    clock(200)
    assert reconcile() == {"host web-1": "it is not ready after 200 s: its SSH port does not respond"}
    host["reachable"] = True
    assert reconcile() == {}
    assert states == ["pending", "running"]


def test_a_database_that_runs_and_does_not_respond_is_reported(clock: Callable[[float], None], tmp_path: Path) -> None:
    starts = reconciler.Starts()
    assert starts.may_start("database listings", tmp_path / "log")
    starts.check_timeout("database listings", tmp_path / "log", "the master user can't log in")
    assert starts.problems == {}
    clock(200)
    starts.check_timeout("database listings", tmp_path / "log", "the master user can't log in")
    assert starts.problems == {"database listings": "it is not ready after 200 s: the master user can't log in"}


def test_a_playbook_that_waits_for_a_failed_start_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = {"host web-1": "it exited 0 s after its start"}
    monkeypatch.setattr(operations, "status", lambda: Status(problems=problem))
    found: dict[str, str] = {}
    began = time.monotonic()
    with (
        subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True, text=True) as process,
        operations._terminated_on_problems(process, found),
    ):
        process.wait()
    assert found == problem
    assert time.monotonic() - began < 30


def test_a_different_suite_is_rejected_while_the_lab_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(
        LabError, match=r"runs 'debian-13-amd64', but 'debian-12-amd64' was requested\. Run bin/lab down first"
    ):
        store_options(monkeypatch, tmp_path, web_image="debian-12-amd64")


def test_the_option_suite_outranks_an_image_of_the_settings(
    lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr(operations, "up", lambda _, wanted, __: given.append(wanted))
    assert lab("up --suite bookworm")[0] == 0
    own = {"web_image_name": "debian-13-amd64-*", "web_image_owner": "136693071363", "web_user": "admin"}
    assert operations._image(own | given[0]) == "debian-12-amd64"
    assert [given[0][name] for name in own] == ["", "", ""]


def test_fewer_hosts_are_rejected_while_the_lab_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store_options(monkeypatch, tmp_path, web_count=3)
    with pytest.raises(LabError, match="has 3 hosts, but 1 were requested"):
        operations._store_options("lab", {"web_count": 1}, fresh=False)


def test_options_of_a_running_lab_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store_options(monkeypatch, tmp_path, web_count=3)
    operations._store_options("lab", {}, fresh=False)
    assert environments.settings()["web_count"] == 3


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The settings of an environment `shop`, next to the lab's and production's."""
    fake_state(monkeypatch, tmp_path / "overrides")
    root = tmp_path / "outport"
    for name, source in (("lab", "lab"), ("production", "production"), ("shop", "production")):
        shutil.copytree(layout.REPOSITORY / "inventory" / source, root / "inventory" / name)
    monkeypatch.setattr(environments, "REPOSITORY", root)
    return root / "inventory/shop/group_vars/all.yml"


def test_another_environment_is_rejected_while_the_lab_runs(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        LabError, match=r"runs the environment 'lab', but 'shop' was requested\. Run bin/lab down first"
    ):
        store_options(monkeypatch, tmp_path / "overrides", "shop")


def test_an_environment_that_does_not_exist_is_rejected(shop: Path) -> None:
    known = "there are: lab, production, shop. Create it: bin/init REPOSITORY --env shpo"
    with pytest.raises(LabError, match=known):
        operations._store_options("shpo", {}, fresh=True)


@pytest.mark.parametrize("text", ["app_environment: {A: b\n", "web_count:\t1\n"])
def test_settings_that_are_not_yaml_are_named_with_their_line(shop: Path, text: str) -> None:
    shop.write_text(f"app_name: shop\n{text}")
    with pytest.raises(LabError, match=rf"^{shop}:\d: is not valid YAML: .*Fix it"):
        environments.store("shop", {})


def test_only_endpoints_are_laid_over_an_environment(shop: Path) -> None:
    values = yaml.safe_load(shop.read_text()) | {
        "app_name": "shop",
        "app_repository": "file:///home/me/my%20shop",
        "site_domain": "shop.example.org",
        "app_secrets": {"API_TOKEN": "AQICAH"},
        "app_generated_secrets": ["SECRET_KEY"],
    }
    shop.write_text(yaml.safe_dump(values))
    environments.store("shop", {"web_count": 2})
    found, lab = (
        environments.settings(),
        yaml.safe_load((layout.REPOSITORY / "inventory/lab/group_vars/all.yml").read_text()),
    )
    changed = {name: value for name, value in found.items() if value != values.get(name)}
    assert changed == {name: lab[name] for name in environments._ENDPOINTS} | {
        "web_count": 2,
        "app_repository": "https://10.213.0.1:8443/app.git",
        "dns_zone": "shop.example.org",
        "app_secrets": {},
        "app_generated_secrets": ["SECRET_KEY", "API_TOKEN"],
    }
    assert environments.current() == "shop"
    assert environments.repository_of("shop") == Path("/home/me/my shop")
    assert environments.repository_of("lab") is None


@pytest.mark.parametrize(
    "destination", ["10.213.0.0/16", "10.213.7.0/24", "10.213.0.9", "10.214.0.0/24", "10.214.0.128/25"]
)
def test_a_network_inside_the_labs_is_rejected(monkeypatch: pytest.MonkeyPatch, destination: str) -> None:
    routes(monkeypatch, {"dst": "default", "dev": "eth0"}, {"dst": destination, "dev": "vpn0"})
    with pytest.raises(LabError, match=rf"already reaches {destination} through 'vpn0'.*ip link set vpn0 down"):
        network.check_free()


@pytest.mark.parametrize(
    "route",
    [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.212.0.0/16", "dev": "eth0"},
        {"dst": "192.168.0.0/16", "dev": "eth0"},
        {"dst": "10.213.0.0/16", "dev": layout.BRIDGE},
    ],
)
def test_other_networks_and_the_labs_own_are_accepted(monkeypatch: pytest.MonkeyPatch, route: dict[str, str]) -> None:
    routes(monkeypatch, route)
    network.check_free()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that fakes this machine's operating system."""

    def fake(release: str) -> None:
        file = tmp_path / "os-release"
        file.write_text(release)
        monkeypatch.setattr(preflight, "Path", lambda _path: file)

    return fake


@pytest.mark.parametrize(
    "release", ['ID=debian\nVERSION_ID="12"\n', 'ID=debian\nVERSION_ID="13"\n', 'ID=ubuntu\nVERSION_ID="24.04"\n']
)
def test_supported_systems_are_accepted(system: Callable[[str], None], release: str) -> None:
    system(release)
    preflight._check_system()


@pytest.mark.parametrize(
    "release",
    [
        'ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Other System"\n',
        'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Other System"\n',
        'ID=fedora\nVERSION_ID="43"\nPRETTY_NAME="Other System"\n',
        'ID=debian\nPRETTY_NAME="Other System"\n',
    ],
)
def test_other_systems_are_rejected_by_name(system: Callable[[str], None], release: str) -> None:
    system(release)
    with pytest.raises(LabError, match=r"Debian 12 or newer and Ubuntu 24\.04 or newer; this is Other System\."):
        preflight._check_system()


def test_insufficient_disk_space_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "_check_system", lambda: None)
    monkeypatch.setattr(preflight.cgroups, "check", lambda: None)
    usage = preflight.shutil.disk_usage("/")._replace(free=1024**3)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _directory: usage)
    with pytest.raises(LabError, match=r"needs 4 GiB free in .*; found 1\.0 GiB.*bin/lab purge"):
        preflight.check(fresh=False)


# Certificates


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A certificate authority in its own directory."""
    monkeypatch.setattr(certificates, "CA", tmp_path / "ca.pem")
    monkeypatch.setattr(certificates, "_CA_KEY", tmp_path / "ca.key")
    certificates.create_ca()
    certificates.issue(["db.lab.test", "10.213.0.1"], tmp_path / "server.pem", tmp_path / "server.key")
    return tmp_path


def handshake(directory: Path, name: str) -> None:
    """Connect a client that trusts the authority to a server with the certificate."""
    client = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(directory / "server.pem", directory / "server.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    open_sides = sides
    while open_sides:
        still = []
        for side in open_sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                still.append(side)
        open_sides = still


@pytest.mark.parametrize("name", ["db.lab.test", "10.213.0.1"])
def test_a_certificate_is_trusted_for_its_names(authority: Path, name: str) -> None:
    handshake(authority, name)


@pytest.mark.parametrize("name", ["other.lab.test", "10.213.0.2"])
def test_a_certificate_is_not_trusted_for_other_names(authority: Path, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '"):
        handshake(authority, name)


def test_another_authoritys_certificate_is_not_trusted(authority: Path) -> None:
    (authority / "ca.pem").unlink()
    certificates.create_ca()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, "db.lab.test")


def test_the_authority_is_created_once(authority: Path) -> None:
    before = (authority / "ca.pem").read_bytes()
    certificates.create_ca()
    assert (authority / "ca.pem").read_bytes() == before


def test_keys_are_for_the_owner_only(authority: Path) -> None:
    assert [(authority / name).stat().st_mode & 0o077 for name in ("ca.key", "server.key")] == [0, 0]


# Commands


def shell(lines: list[str], command: str) -> str:
    """Return what a shell prints after these lines."""
    script = "\n".join([*lines, command])
    started = {"PATH": os.environ["PATH"], "AWS_PROFILE": "personal", "AWS_SESSION_TOKEN": "personal"}
    return subprocess.run(["sh", "-c", script], env=started, capture_output=True, text=True, check=True).stdout


def test_the_exports_are_lines_for_a_shell() -> None:
    for name, value in operations.environment().items():
        assert shell(operations.export_lines(), f'printf %s "${name}"') == value


@pytest.mark.parametrize("value", ["/home/me/my clone", "$(touch here)", "`true`", 'a"b', "a\\b"])
def test_an_exported_value_is_taken_literally(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(operations, "environment", lambda: {"SAMPLE": value})
    assert shell(operations.export_lines(), 'printf %s "$SAMPLE"') == value


def test_a_signal_reaches_the_playbook_that_the_lab_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command becomes ansible-playbook: a wrapper that is killed would leave it running, with the deploy lock."""
    started: list[tuple[list[str], str]] = []
    for name in ("_require_up", "_publish_app"):
        monkeypatch.setattr(operations, name, lambda: None)
    monkeypatch.setattr(
        os, "execve", lambda _, words, environment: started.append((words, environment["AWS_ENDPOINT_URL"]))
    )
    operations.play(["site.yml", "--check"])
    program = str(layout.REPOSITORY / ".venv/bin/ansible-playbook")
    assert started == [([program, "site.yml", "--check"], layout.AWS_ENDPOINT)]


def test_the_exports_unset_a_personal_account() -> None:
    assert shell(operations.export_lines(), 'printf %s%s "${AWS_PROFILE-}" "${AWS_SESSION_TOKEN-}"') == ""


def test_a_host_is_found_by_each_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostStatus("i-1", "listings-lab-web-1", "running", "trixie", "10.213.1.4", "10.214.0.9")
    monkeypatch.setattr(operations, "status", lambda: Status([host]))
    for name in ("web-1", "listings-lab-web-1", "i-1", "10.213.1.4", "10.214.0.9"):
        assert operations.find_host(name) == host
    with pytest.raises(LabError, match=r"There is no host 'eb-1'\. Hosts: listings-lab-web-1\."):
        operations.find_host("eb-1")


def test_a_status_is_stored_and_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lab_status, "_FILE", tmp_path / "status.json")
    assert Status.read() == Status()
    host = HostStatus("i-1", "listings-lab-web-1", "running", "trixie", "10.213.1.4", "10.214.0.9")
    database = DatabaseStatus("listings-lab", "listings-lab.example", "10.213.254.11")
    written = Status([host], [database], {"listings.lab.test": ["10.214.0.9"]}, {"host web-2": "it exited"})
    written.write()
    assert Status.read() == written


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs `bin/lab` as root without a running lab, and returns the exit status, output and errors."""
    monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
    monkeypatch.setattr(cli, "LOGS", tmp_path)
    monkeypatch.setattr(operations, "is_up", lambda: False)

    def run(arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bin/lab", *shlex.split(arguments)])
        try:
            code = cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


class Site:
    """A client of the site that gets a given status or error."""

    domain = "listings.lab.test"

    def __init__(self, outcome: int | Exception) -> None:
        self.outcome = outcome

    def get(self, path: str) -> Response:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Response(self.outcome, "Reason", {}, b"")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lab", "env"]
    done = subprocess.run(command, cwd=layout.REPOSITORY, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (200, r"site      https://listings\.lab\.test/  200 Reason in \d+ ms"),
        (502, r"site      https://listings\.lab\.test/  502 Reason in \d+ ms"),
        (ConnectionRefusedError("refused"), r"site .* no response: refused"),
        (ssl.SSLError("certificate has expired"), r"site .* no response: .*certificate has expired.*"),
        (http.client.RemoteDisconnected("closed"), r"site .* no response: closed"),
    ],
)
def test_the_status_reports_whether_the_site_responds(
    lab: Any, monkeypatch: pytest.MonkeyPatch, outcome: int | Exception, line: str
) -> None:
    monkeypatch.setattr(operations, "status", Status)
    monkeypatch.setattr(operations, "visitor", lambda: Site(outcome))
    code, output, _ = lab("status")
    assert code == 0
    assert re.fullmatch(line, output.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "code", "reported"),
    [
        ("", 2, "the following arguments are required: COMMAND"),
        ("upp", 2, "invalid choice: 'upp'"),
        ("up --suite jessie", 2, "invalid choice: 'jessie'"),
        ("up --hosts many", 2, "invalid int value: 'many'"),
        ("up --hosts 0", 1, "bin/lab: --hosts must be 1 to 5; found 0."),
        ("up --hosts 6", 1, "bin/lab: --hosts must be 1 to 5; found 6."),
        ("play", 1, "bin/lab: The playbook is missing. Example: bin/lab play site.yml --check --diff"),
        ("play site.yml", 1, "bin/lab: The lab is not up. Run: bin/lab up"),
        ("status", 1, "bin/lab: The lab is not up. Run: bin/lab up"),
        ("ssh web-1", 1, "bin/lab: The lab is not up. Run: bin/lab up"),
        ("logs nosuch", 1, "bin/lab: There is no log 'nosuch'. Logs: none yet."),
    ],
)
def test_a_usage_error_is_reported_on_one_line(lab: Any, arguments: str, code: int, reported: str) -> None:
    found, output, errors = lab(arguments)
    assert (found, output) == (code, "")
    assert errors.splitlines()[-1].endswith(reported) or reported in errors.splitlines()[-1]


@pytest.mark.parametrize("command", ["up", "down", "purge", "play site.yml"])
def test_a_command_that_needs_root_is_rejected_without_it(
    lab: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
    name = command.split()[0]
    assert lab(command) == (1, "", f"bin/lab: '{name}' needs root. Run: sudo bin/lab {name}\n")


def test_the_end_of_a_log_is_shown(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "site.log").write_text("".join(f"line {number}\n" for number in range(200)))
    assert lab("logs site --lines 2") == (0, "line 198\nline 199\n", "")
    assert lab("logs") == (0, f"site  {tmp_path / 'site.log'}\n", "")


def test_an_interrupted_command_shows_how_to_continue(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operations, "up", interrupted)
    code, _, errors = lab("up")
    assert code == 130
    assert "Run the same command again to continue" in errors


def test_a_failed_command_is_reported_with_its_last_lines() -> None:
    with pytest.raises(LabError, match=r"'sh -c echo no room >&2; exit 3' failed with exit code 3\. no room"):
        commands.run(["sh", "-c", "echo no room >&2; exit 3"])


def test_a_command_that_exceeds_its_timeout_is_stopped() -> None:
    with pytest.raises(LabError, match="'sleep 60' timed out after 0 seconds"):
        commands.run(["sleep", "60"], timeout=0.1)


def test_a_missing_program_is_reported() -> None:
    with pytest.raises(LabError, match="'no-such-program' is not installed"):
        commands.run(["no-such-program"])


# Load


# The response to request `number` of connection `connection`, both from 0. Without a trailing newline the connection is closed.
Responses = Callable[[int, int], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


class FakeSite:
    """A fake site with TLS at 127.0.0.1 that returns given responses."""

    def __init__(self, directory: Path, responses: Responses) -> None:
        self.requests: list[bytes] = []
        self._responses = responses
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(directory / "server.pem", directory / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        connection = 0
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain, connection), daemon=True).start()
            connection += 1

    def _serve(self, plain: socket.socket, connection: int) -> None:
        with plain:
            try:
                with self._tls.wrap_socket(plain, server_side=True) as client:
                    number = 0
                    response = b"\n"
                    while response.endswith(b"\n") and (request := self._read(client)):
                        self.requests.append(request)
                        response = self._responses(connection, number)
                        client.sendall(response)
                        number += 1
            except OSError:
                # The client closed the connection, or does not trust the certificate.
                return

    @staticmethod
    def _read(client: ssl.SSLSocket) -> bytes:
        """Read one request with its body; empty at the end of the connection."""
        found = b""
        while b"\r\n\r\n" not in found:
            part = client.recv(65536)
            if not part:
                return b""
            found += part
        head, body = found.split(b"\r\n\r\n", 1)
        (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")] or [
            0
        ]
        while len(body) < length:
            body += client.recv(65536)
        return head + body


@pytest.fixture
def fake_site(authority: Path) -> Iterator[Callable[[Responses], FakeSite]]:
    """Return a function that starts a fake site; the sites are stopped after the test."""
    sites: list[FakeSite] = []

    def start(responses: Responses) -> FakeSite:
        sites.append(FakeSite(authority, responses))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


def load_on(site: FakeSite, **options: Any) -> Result:
    """Return the result of a load of 100 requests, or with other options."""
    defaults = {"addresses": ("127.0.0.1",), "rate": 200, "at_least": 100, "longest": 30}
    plan = Plan("db.lab.test", ca=str(certificates.CA), port=site.port, **defaults | options)
    with Load(plan) as load:
        pass
    return load.result


Sites = Callable[[Responses], FakeSite]


def test_a_load_counts_its_requests(fake_site: Sites) -> None:
    site = fake_site(lambda *_: OK)
    result = load_on(site)
    assert (result.total, result.by_status, result.failed, result.retried) == (100, {"200": 100}, 0, 0)
    assert len(site.requests) == 100
    assert {visit.kind for visit in result.visits} == {"page", "api", "message"}
    messages = [request for request in site.requests if request.startswith(b"POST /api/v1/messages ")]
    assert len(set(messages)) == len(messages) > 0
    assert result.seconds >= 99 / 200


def test_a_server_error_is_a_failure(fake_site: Sites) -> None:
    site = fake_site(
        lambda connection, _: b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nbusy\n" if connection == 3 else OK
    )
    result = load_on(site)
    assert result.failed == result.by_status["503"] > 0
    assert result.failures[0].text == "busy"


def test_a_request_on_a_persistent_connection_is_retried(fake_site: Sites) -> None:
    result = load_on(fake_site(lambda _, number: OK if number == 0 else b""), new_share=0.0)
    assert (result.total, result.failed) == (100, 0)
    assert result.retried > 20


def test_a_request_on_a_new_connection_is_not_retried(fake_site: Sites) -> None:
    result = load_on(fake_site(lambda connection, _: b"" if connection % 2 else OK), new_share=1.0)
    assert 40 <= result.failed <= 60
    assert result.retried == 0
    assert result.by_status.keys() == {"200", "ServerDisconnectedError"}


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha"])
def test_an_incomplete_response_is_a_failure(fake_site: Sites, part: bytes) -> None:
    result = load_on(fake_site(lambda _, number: part if number else OK), new_share=0.0)
    assert result.failed > 20
    assert result.retried == 0
    assert result.by_status.keys() <= {"200", "ServerDisconnectedError", "ClientPayloadError", "ClientOSError"}


def test_an_address_that_refuses_connections_is_skipped(fake_site: Sites) -> None:
    result = load_on(fake_site(lambda *_: OK), addresses=("127.0.0.2", "127.0.0.1"), new_share=1.0)
    assert (result.total, result.failed) == (100, 0)


def test_an_unknown_certificate_is_not_trusted(fake_site: Sites, authority: Path) -> None:
    site = fake_site(lambda *_: OK)
    (authority / "ca.pem").unlink()
    certificates.create_ca()
    result = load_on(site)
    assert (result.failed, site.requests) == (100, [])
    assert result.by_status.keys() == {"ClientConnectorCertificateError"}


def test_a_stall_is_seen_as_latency(fake_site: Sites) -> None:
    """The site stalls from its first request on; the response time includes the wait of requests that were due then."""
    first: list[float] = []

    def response(*_: int) -> bytes:
        first.append(time.monotonic())
        time.sleep(max(0.0, first[0] + 2 - time.monotonic()))
        return OK

    result = load_on(fake_site(response), rate=50, at_least=150)
    assert (result.total, result.failed) == (150, 0)
    assert sum(visit.ms > 200 for visit in result.visits) > 20
    assert result.slowest.at < 2


def test_a_load_continues_until_its_block_ends(fake_site: Sites) -> None:
    plan = Plan("db.lab.test", ("127.0.0.1",), str(certificates.CA), fake_site(lambda *_: OK).port, rate=100)
    with Load(plan) as load:
        time.sleep(1)
    assert load.result.seconds > 0.9
    assert 50 < load.result.total <= 100 * load.result.seconds + 1


def test_a_load_that_runs_out_of_time_reports_it(fake_site: Sites) -> None:
    plan = Plan("db.lab.test", ("127.0.0.1",), str(certificates.CA), fake_site(lambda *_: OK).port, longest=0.5)
    with pytest.raises(LabError, match=r"ran out of time: 10[01] requests in 0\.5 seconds"), Load(plan):
        time.sleep(1)


def test_an_error_in_the_block_is_reported_unchanged(fake_site: Sites) -> None:
    plan = Plan("db.lab.test", ("127.0.0.1",), str(certificates.CA), fake_site(lambda *_: OK).port)
    with pytest.raises(ValueError, match="in the block"), Load(plan) as load:
        raise ValueError("in the block")
    assert load._process.returncode is not None


def test_a_load_that_cannot_start_reports_why(fake_site: Sites, tmp_path: Path) -> None:
    plan = Plan("db.lab.test", ("127.0.0.1",), str(tmp_path / "nothing.pem"), fake_site(lambda *_: OK).port)
    with (
        pytest.raises(LabError, match=r"The load on db\.lab\.test exited unexpectedly: (.|\n)*FileNotFoundError"),
        Load(plan),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"rate": 0}, "a rate above 0"),
        ({"rate": 5000}, "found 5000"),
        ({"addresses": ()}, "no address of db.lab.test"),
        ({"at_least": 100_000}, "can't make 100000 requests at 200 per second within 180 seconds"),
    ],
)
def test_an_invalid_load_is_rejected(options: dict[str, Any], reported: str) -> None:
    with pytest.raises(LabError, match=reported):
        Plan("db.lab.test", **{"addresses": ("127.0.0.1",), "ca": "ca.pem"} | options)


def test_a_result_has_the_statistics() -> None:
    visits = [Visit(number / 10, "api", "200", "", float(number), number == 7) for number in range(1, 100)]
    result = Result((*visits, Visit(10, "page", "502", "Bad Gateway", 900.0, False)), 10.0, 3.0)
    reported = result.summary()
    assert (reported["total"], reported["failed"], reported["retried"]) == (100, 1, 1)
    assert (reported["p50_ms"], reported["p99_ms"], reported["slowest_ms"]) == (50.0, 99.0, 900.0)
    assert reported["failures"] == ["page after 10.00 s: 502 in 900 ms Bad Gateway"]
    assert "100 requests in 10 s: 1 failed, 1 retried; 99 with 200, 1 with 502." in str(result)


# Terminal output


def test_a_step_that_fails_shows_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path)

    def fail() -> None:
        with console.step("Boil water", "kettle") as current:
            current.log.write_text("".join(f"line {number}\n" for number in range(100)))
            raise LabError("No water.")

    with pytest.raises(LabError, match="No water"):
        fail()
    output = capsys.readouterr().out
    assert "✗ Boil water" in output
    assert "  | line 98\n  | line 99" in output
    assert "| line 10\n" not in output
    assert f"The complete log: {tmp_path / 'kettle.log'}" in output


def test_a_step_that_succeeds_shows_its_time_and_no_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LOGS", tmp_path)
    with console.step("Boil water", "kettle") as current:
        current.log.write_text("bubbles\n")
    first, last = capsys.readouterr().out.splitlines()
    assert first == "… Boil water"
    assert last.startswith("✓ Boil water  0.")


# Values that are defined in two places


def test_the_labs_settings_name_its_own_addresses() -> None:
    settings = yaml.safe_load((layout.REPOSITORY / "inventory/lab/group_vars/all.yml").read_text())
    assert settings["aws_endpoint_url"] == layout.AWS_ENDPOINT
    assert settings["network_cidr"] == str(layout.PRIVATE)
    assert settings["acme_directory"] == f"https://{layout.GATEWAY}:{layout.ACME_PORT}/dir"
    assert settings["app_repository"] == f"{layout.GIT_URL}/app.git"
    for name in ("acme_ca_url", "database_ca_url", "cloudwatch_agent_url"):
        assert settings[name].startswith(f"http://{layout.GATEWAY}:{layout.FILES_PORT}/")
    assert settings["ssh_public_key_file"] == f"{layout.SSH_KEY}.pub"
    assert settings["ansible_ssh_private_key_file"] == str(layout.SSH_KEY)
    assert str(layout.KNOWN_HOSTS) in settings["ansible_ssh_common_args"]
    assert settings["web_image"] in layout.SUITES.values()


def test_each_image_of_the_lab_has_a_suite() -> None:
    found = {entry["ami_id"]: entry["name"] for entry in json.loads((layout.REPOSITORY / "lab/amis.json").read_text())}
    assert found.keys() == layout.IMAGE_SUITES.keys()
    for image, suite in layout.IMAGE_SUITES.items():
        assert found[image].startswith(f"{layout.SUITES[suite]}-")


def test_an_image_is_rebuilt_when_its_cas_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "_EXTRA_CAS", tmp_path)
    before = images.host_image("trixie")
    (tmp_path / "proxy.crt").write_text("another authority")
    assert images.host_image("trixie") != before


def test_names_are_reloaded_only_when_they_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Resolver:
        """Counts its reloads."""

        reloads = 0

        def reload(self) -> None:
            self.reloads += 1

    names, resolver = tmp_path / "names", Resolver()
    names.touch()
    monkeypatch.setattr(services, "_NAMES", names)
    for _ in range(2):
        services.set_names(resolver, {"site.lab.test": ["10.214.0.9", "10.214.0.8"]})
    assert names.read_text() == "10.214.0.9 site.lab.test\n10.214.0.8 site.lab.test\n"
    assert resolver.reloads == 1


def test_the_labs_repository_has_the_current_refs_of_the_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clone, bare = tmp_path / "clone", tmp_path / "state/git/app.git"

    def git(*words: str, at: Path = clone) -> str:
        author = ["-c", "user.name=Outport lab", "-c", "user.email=lab@lab.test"]
        return commands.run(["git", *author, "-C", at, *words]).strip()

    def published() -> dict[str, str]:
        operations._publish_app()
        lines = git("for-each-ref", "--format=%(refname:short) %(objectname)", at=bare).splitlines()
        return dict(line.split() for line in lines)

    clone.mkdir()
    monkeypatch.setattr(operations, "STATE", tmp_path / "state")
    monkeypatch.setattr(operations, "REPOSITORY", clone)
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "-m", "First")
    first = git("rev-parse", "HEAD")
    git("branch", "fix")
    git("branch", "lab")
    git("tag", "v1")
    git("checkout", "--quiet", "fix")
    git("commit", "--quiet", "--allow-empty", "-m", "Fix")
    fix = git("rev-parse", "HEAD")
    assert published() == {"lab": fix, "main": first, "fix": fix, "v1": first}
    # Other branches, such as a test's, are kept; deletions and forced updates are published.
    git("branch", "change-1", "main", at=bare)
    git("checkout", "--quiet", "-B", "main", fix)
    git("branch", "-D", "fix")
    git("branch", "fix/login", first)
    git("tag", "--delete", "v1")
    assert published() == {"lab": fix, "main": fix, "fix/login": first, "change-1": first}
