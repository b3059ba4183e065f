"""A failure is reported with its cause and its fix, and the previous release stays live (see the fixture `site`)."""

from pathlib import Path

from support.hosts import live
from support.plays import play

from lab import operations
from lab.layout import CGROUP
from lab.repositories import APP, address
from lab.visitor import Visitor


def test_an_unknown_ref_is_refused(site: Visitor) -> None:
    before = live()
    played = play("playbooks/deploy.yml", "--extra-vars", "app_ref=no-such-branch").refused()
    assert f"was not fetched from {address(APP)} at 'no-such-branch'" in played.stdout
    assert "Fix app_ref" in played.stdout
    assert "no such branch, tag or commit. It has: lab, main." in played.stdout
    assert live() == before


def test_a_missing_setting_is_refused_before_the_first_change(site: Visitor) -> None:
    played = play("site.yml", "--extra-vars", '{"acme_email": ""}').refused()
    assert "acme_email" in played.stdout
    assert "acme_email (from the command line): found nothing" in played.text
    assert played.changed == []


def test_no_certificate_is_issued_for_a_name_that_does_not_resolve(site: Visitor) -> None:
    """The new name is refused; the former one is still live, with its certificate."""
    played = play("site.yml", "--extra-vars", "site_domain=elsewhere.lab.test").refused()
    assert "No certificate was issued for elsewhere.lab.test" in played.stdout
    assert "To fix it: each name must resolve to this host" in played.stdout
    assert site.get("/").status == 200
    play("site.yml").passed()


def test_a_database_that_does_not_respond_stops_the_release(site: Visitor, new_commit: str) -> None:
    before = live()
    database = operations.status().databases[0].id
    freezer = next(Path("/sys/fs/cgroup").glob(f"**/{CGROUP}/database-{database}/cgroup.freeze"))
    freezer.write_text("1")
    try:
        played = play("playbooks/deploy.yml", "--extra-vars", f"app_ref={new_commit}")
        assert site.get("/").status == 200
        assert site.get("/api/v1/listings").status == 503
        assert "https://listings.lab.test/healthz on this host: 200 in " in play("playbooks/releases.yml").stdout
    finally:
        freezer.write_text("0")
    played.refused()
    reported = played.text
    assert "The command 'flask --app run db upgrade' failed" in reported
    assert "The release got no traffic, and what was live is unchanged." in reported
    assert "The cause: The command 'flask --app run db upgrade' failed (exit code 1): " in reported
    assert reported.count("Background on this error") == 1
    assert live() == before
