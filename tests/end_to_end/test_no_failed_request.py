"""No request fails while the first host is changed under load: at least 2,500 requests for each change, 10,000 in `bin/test soak`."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Change
from support import loads
from support.hosts import live, on_host, shown, units, visitor_of
from support.plays import deploy, play, rollback

from lab import operations
from lab.layout import SITE_CA
from lab.load import Load
from lab.visitor import Visitor

Loads = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(scope="module", autouse=True)
def restore_the_release() -> Iterator[None]:
    """Restore the release of the settings for the next module."""
    yield
    if shown("web-1") is not None:
        play("site.yml").passed()


@pytest.fixture
def load() -> Loads:
    """Load on the first host in parallel with a block; no request may fail."""
    plan = loads.plan()

    @contextmanager
    def under_load(name: str) -> Iterator[None]:
        with Load(replace(plan, addresses=(operations.find_host("web-1").public,))) as load:
            yield
        loads.record(name, load.result)
        assert load.result.total >= loads.AT_LEAST
        assert load.result.failed == 0, str(load.result)

    return under_load


def test_no_request_fails_during_a_deploy_and_its_rollback(load: Loads, change: Change) -> None:
    before = shown("web-1")
    with load("deploy"):
        deploy(change.ref).passed()
    assert shown("web-1") == change.mark
    with load("rollback"):
        rollback().passed()
    assert shown("web-1") == before
    assert_a_rollback_persists(change)


def assert_a_rollback_persists(change: Change) -> None:
    """When the settings name the commit that was rolled back, a deploy stops before it changes the release, and lists the options."""
    before = live()
    # With another setting, the commit is another release.
    settings = ("-e", f"app_ref={change.ref}", "-e", '{"app_environment": {"OTHER": "1"}}')
    messages = play("playbooks/deploy.yml", *settings).refused().messages[0]
    assert f"('{change.ref}') was rolled back at" in messages
    assert live() == before
    commit = re.findall(r"-e ref=([0-9a-f]{40})", messages)
    assert "-e redeploy=true" in messages
    assert on_host("cat /srv/listings/live/release.json").count(commit[0]) == 1
    listed = play("playbooks/releases.yml").stdout
    assert re.search(r"[0-9a-f-]{19} +rolled back ", listed)


def test_no_request_fails_during_a_deploy_of_an_unhealthy_release(load: Loads, change: Change) -> None:
    before = live()
    with load("refused deploy"):
        refused = deploy(change.ref, "-e", "app_health_path=/nothing-here").refused()
    assert live() == before
    assert shown("web-1") != change.mark
    assert "expected 200 from /nothing-here, found 404" in refused.text
    assert "It got no traffic" in refused.text


def test_no_request_fails_while_the_certificate_is_renewed(load: Loads) -> None:
    serials = [visitor_of("web-1").certificate()["serialNumber"]]
    # As systemd runs it; an operator's command has the same effect.
    settings = on_host("systemctl show --property=Environment --value certbot.service")
    with load("certificate renewal"):
        for _ in range(3):
            on_host(f"sudo env {settings} certbot renew --force-renewal --no-random-sleep-on-renew")
            serials.append(wait_for_certificate(other_than=serials[-1]))
    assert len(set(serials)) == 4


def wait_for_certificate(other_than: str) -> str:
    """Wait for another certificate of the site and return its serial number."""
    deadline = time.monotonic() + 10
    while (found := visitor_of("web-1").certificate()["serialNumber"]) == other_than and time.monotonic() < deadline:
        time.sleep(0.2)
    return str(found)


def test_no_request_fails_while_nginx_is_upgraded(load: Loads) -> None:
    masters = [on_host("cat /run/nginx.pid")]
    on_host("sudo apt-get update --quiet")
    with load("nginx upgrade"):
        for _ in range(3):
            # The package starts the new program next to the old one, which exits after its last request.
            on_host("sudo env DEBIAN_FRONTEND=noninteractive apt-get install --reinstall --yes nginx")
            masters.append(on_host("cat /run/nginx.pid"))
    assert len(set(masters)) == 4
    assert on_host("systemctl is-active nginx") == "active"
    assert on_host("systemctl show --property=MainPID --value nginx") == masters[-1]


@pytest.mark.soak
def test_no_request_fails_while_a_name_is_added(load: Loads) -> None:
    site = visitor_of("web-1")
    alias = f"www.{site.domain}"
    options = ("-e", json.dumps({"site_aliases": [alias]}))
    play("playbooks/provision.yml", *options).passed()
    with load("another name"):
        play("site.yml", *options).passed()
    assert ("DNS", alias) in site.certificate()["subjectAltName"]
    answer = Visitor(alias, site.address, SITE_CA).get("/listings.html?page=2")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{site.domain}/listings.html?page=2")
    play("site.yml").passed()


@pytest.mark.soak
def test_a_closed_site_responds_to_each_request_and_can_be_changed(change: Change) -> None:
    """Maintenance mode under load, with a renewal and a deploy meanwhile: each request gets the site or the page."""
    site = visitor_of("web-1")
    serial = site.certificate()["serialNumber"]
    settings = on_host("systemctl show --property=Environment --value certbot.service")
    with Load(replace(loads.plan(), addresses=(site.address,))) as load:
        play("playbooks/maintenance_mode.yml", "-e", "maintenance=on").passed()
        assert site.get("/").status == 503
        assert site.get("/healthz").status == 200
        on_host(f"sudo env {settings} certbot renew --force-renewal --no-random-sleep-on-renew")
        assert wait_for_certificate(other_than=serial) != serial
        deploy(change.ref).passed()
        assert shown("web-1") == change.mark
        play("playbooks/maintenance_mode.yml", "-e", "maintenance=off").passed()
        time.sleep(3)
    loads.record("maintenance mode", load.result)
    outcomes = [visit.outcome for visit in load.result.visits]
    assert set(outcomes) <= {"200", "201", "304", "503"}, str(load.result)
    closed = [number for number, outcome in enumerate(outcomes) if outcome == "503"]
    assert len(closed) > 100
    # Open before and after.
    assert closed[0] > 0
    assert closed[-1] < len(outcomes) - loads.RATE


@pytest.mark.soak
def test_no_request_fails_while_a_host_of_an_earlier_version_is_taken_over(load: Loads) -> None:
    """Its units and the names of its files are those of tests/data/former_layout."""
    former = "0123456789ab-012345"
    on_host("sudo install -d /srv/listings/former")
    for file in (Path(__file__).parents[1] / "data/former_layout").iterdir():
        on_host(f"sudo tee /srv/listings/former/{file.name} >/dev/null", text=file.read_text())
    on_host(f"sudo sh -s {former}", text=(Path(__file__).parents[1] / "data/former_layout/install.sh").read_text())
    assert live() == former
    with load("take-over of a former layout"):
        play("site.yml").passed()
    assert live() != former
    assert units() == {f"listings@{live()}.service"}
    assert re.search(rf"{former} +previous ", play("playbooks/releases.yml").stdout)
