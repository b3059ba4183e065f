"""The releases of a host, and the choice of one to roll back to."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.release import history
from ansible.module_utils.release.errors import ReleaseError
from ansible.module_utils.release.layout import App, Release


def state(app: App, release: Release, switches: list[dict[str, Any]]) -> str:
    """Return the state of a release; where several apply, the most important one."""
    name, undone = release.id, history.rolled_back(switches)
    outcomes = [entry["outcome"] for entry in switches if entry["to"] == name]
    if app.named_by(app.live) == name:
        return "live"
    if name in undone or release.commit in undone:
        return "rolled back"
    if outcomes[-1:] == ["refused"]:
        return "refused"
    if app.named_by(app.previous) == name:
        return "previous"
    if not release.built.exists():
        return "incomplete"
    return "kept" if release.proved.exists() else "never live"


def describe(app: App, release: Release, switches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a release as a dict of the module release_list."""
    known = json.loads(release.description.read_text()) if release.description.exists() else {}
    return {
        **{name: known.get(name, "") for name in ("commit", "subject", "ref", "built", "by")},
        "release": release.id,
        "schema": release.schema.read_text().strip() if release.schema.exists() else "",
        "state": state(app, release, switches),
        "proved": release.proved.exists(),
    }


def releases(app: App) -> list[dict[str, Any]]:
    """Return all releases, newest first."""
    switches = history.entries(app)
    return sorted(
        (describe(app, release, switches) for release in app.all_releases()),
        key=lambda one: str(one["built"]),
        reverse=True,
    )


def choose(app: App, found: list[dict[str, Any]], wanted: str, include_live: bool) -> str:
    """Return the id of the one release that `wanted` matches. Raises ReleaseError with the choices when there is none."""
    unable = ("incomplete",) if include_live else ("incomplete", "live")
    able = [one for one in found if one["state"] not in unable and one["proved"]]
    previous = app.named_by(app.previous)
    choices = "".join(
        f"\n  {one['release']}  {one['built']}  {one['subject'][:60]}"
        + ("  (previous)" if one["release"] == previous else "")
        for one in able
    )
    hint = (
        f"This host can roll back to:{choices}\nChoose one: -e release=ID"
        if able
        else "This host has no release to roll back to."
    )
    if wanted == "previous":
        if not previous:
            raise ReleaseError(f"There is no previous release. Nothing was changed. {hint}")
        return previous
    matching = [one["release"] for one in able if one["release"].startswith(wanted)]
    if len(matching) != 1:
        problem = "matches several releases" if matching else "matches no release that was live on this host before"
        raise ReleaseError(f"'{wanted}' {problem}. Nothing was changed. {hint}")
    return matching[0]
