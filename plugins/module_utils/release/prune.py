"""Removal of releases and virtual environments that are no longer needed, and of a build cache that has grown too large."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.release.commands import need, run
from ansible.module_utils.release.context import Context
from ansible.module_utils.release.layout import BUILDER_CACHE, App, Release, release_of


def prune(context: Context) -> None:
    """Remove incomplete releases, all but the newest `keep` complete ones (with the one to be built), and environments without a release.

    A release that is live, is the previous one, or has a running unit is kept. Removed ones are added to `context.pruned`.
    """
    releases = context.app.all_releases()
    complete = sorted((release for release in releases if release.built.exists()), key=_built, reverse=True)
    kept = {release.id for release in complete[: max(context.params["keep"] - 1, 0)]}
    removable = {release.id for release in releases} - kept
    for release_id in sorted(removable - in_use(context.app) if removable else ()):
        release = context.app.release(release_id)
        # The marker first: an interrupted removal must not leave a release that looks complete.
        release.built.unlink(missing_ok=True)
        shutil.rmtree(release.directory)
        context.pruned.append(f"releases/{release_id}")
    _prune_environments(context)
    _prune_cache(context)


def _built(release: Release) -> int:
    """Return when a release was completed, in ns."""
    return release.built.stat().st_mtime_ns


def _prune_environments(context: Context) -> None:
    """Remove the environments that no release links to."""
    links = [release.venv for release in context.app.all_releases() if release.venv.is_symlink()]
    used = {Path(os.readlink(link)).name for link in links}
    for path in sorted(context.app.environments.glob("*")):
        if path.name not in used:
            context.app.environment(path.name).complete.unlink(missing_ok=True)
            shutil.rmtree(path)
            context.pruned.append(f"venvs/{path.name}")


def _prune_cache(context: Context) -> None:
    """Empty the build cache, which all apps of the host share, when it is larger than the option `cache_mb`."""
    if not BUILDER_CACHE.is_dir():
        return
    result = run(["du", "--summarize", "--block-size=1MB", str(BUILDER_CACHE)])
    if int((result.stdout.split() or ["0"])[0]) > context.params["cache_mb"]:
        shutil.rmtree(BUILDER_CACHE)
        context.pruned.append(str(BUILDER_CACHE))


def in_use(app: App) -> set[str]:
    """Return the ids of the releases that are live, are the previous one, or have a unit in systemd; ReleaseError when systemd fails."""
    linked = {app.named_by(app.live), app.named_by(app.previous)}
    command = ["systemctl", "list-units", "--plain", "--no-legend", "--full", *app.service_patterns]
    result = need(run(command), "systemd can't list running releases.", "Fix systemd on the host, and run this again.")
    return linked | {release_of(line.split()[0]) for line in result.stdout.splitlines() if line.strip()}
