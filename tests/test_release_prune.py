"""The releases and virtual environments that a build removes, with a fake list of systemd units."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.release import prune
from ansible.module_utils.release.commands import Result, run
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.errors import ReleaseError

UNITS = "shop@running.service loaded active running Web service\nshop@waiting.socket loaded active listening Socket\n"


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """An app with `keep` 2 and the systemd units UNITS."""
    monkeypatch.setattr(prune, "run", lambda _argv: Result(0, UNITS, ""))
    monkeypatch.setattr(prune, "BUILDER_CACHE", tmp_path / "cache")
    params = {"name": "shop", "root": str(tmp_path), "release": "new", "keep": 2, "cache_mb": 3, "tools": {}}
    return Context.of(params)


def add(context: Context, release_id: str, built: int = 0) -> None:
    """Add a release with its own environment, built at the time `built`, or incomplete for 0."""
    release, environment = context.app.release(release_id), context.app.environment(f"of-{release_id}")
    release.directory.mkdir(parents=True)
    environment.directory.mkdir(parents=True)
    release.venv.symlink_to(os.path.relpath(environment.directory, release.directory))
    if built:
        release.built.touch()
        os.utime(release.built, (built, built))


def remaining(context: Context) -> set[str]:
    """Return the remaining releases, each with its environment."""
    releases = {release.id for release in context.app.all_releases()}
    assert {path.name for path in context.app.environments.iterdir()} == {f"of-{release}" for release in releases}
    return releases


def test_old_and_incomplete_releases_are_removed_with_their_environments(context: Context) -> None:
    for number, release_id in enumerate(["oldest", "old", "newest"], 1):
        add(context, release_id, number)
    add(context, "incomplete")
    prune.prune(context)
    # The second of the two is the release that is being built.
    assert remaining(context) == {"newest"}
    assert context.pruned == [
        *(f"releases/{name}" for name in ("incomplete", "old", "oldest")),
        *(f"venvs/of-{name}" for name in ("incomplete", "old", "oldest")),
    ]


def test_live_previous_and_running_releases_are_retained(context: Context) -> None:
    for number, release_id in enumerate(["live", "before", "running", "waiting", "old", "newest"], 1):
        add(context, release_id, number)
    context.app.live.symlink_to("releases/live")
    context.app.previous.symlink_to(context.app.release("before").directory)
    prune.prune(context)
    assert remaining(context) == {"live", "before", "running", "waiting", "newest"}


def test_nothing_is_removed_when_systemd_cannot_list_the_running_units(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(context, "old", 1)
    add(context, "newest", 2)
    monkeypatch.setattr(prune, "run", lambda _argv: Result(1, "", "Failed to connect to bus"))
    with pytest.raises(ReleaseError, match="systemd can't list running releases"):
        prune.prune(context)
    assert remaining(context) == {"old", "newest"}


def test_a_cache_is_emptied_when_it_is_too_large(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "run", lambda argv: run(argv) if argv[0] == "du" else Result(0, "", ""))
    prune.BUILDER_CACHE.mkdir()
    (prune.BUILDER_CACHE / "small").write_bytes(os.urandom(1_000_000))
    prune.prune(context)
    assert (prune.BUILDER_CACHE / "small").exists()
    (prune.BUILDER_CACHE / "large").write_bytes(os.urandom(3_000_000))
    prune.prune(context)
    assert not prune.BUILDER_CACHE.exists()
    assert context.pruned == [str(prune.BUILDER_CACHE)]
