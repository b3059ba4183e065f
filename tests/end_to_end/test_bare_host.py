"""From a bare host to the site: check mode, and the first run of site.yml."""

from support.plays import play

from lab import operations


def test_check_mode_works_on_a_bare_host() -> None:
    play("site.yml", "--check", "--diff").passed()


def test_one_run_brings_up_the_site() -> None:
    play("site.yml").passed()
    assert operations.visitor().get("/api/v1/listings").status == 200
