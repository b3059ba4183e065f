"""The context that the steps of a build share."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.release.builder import Builder
from ansible.module_utils.release.layout import App, Release
from ansible.module_utils.release.repository import Repository
from ansible.module_utils.release.tools import Tools


@dataclass(frozen=True)
class Context:
    """One build: its app and release, the options of the module release_build, the build user, and its tools.

    `pruned` collects the releases and environments that the build removed, as paths below the app's root; `warnings` what its
    user should know about a release that was built.
    """

    app: App
    release: Release
    params: dict[str, Any]
    builder: Builder
    tools: Tools
    pruned: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, params: dict[str, Any]) -> Context:
        """Return the context for the options of release_build."""
        app = App(params["name"], Path(params["root"]))
        release = app.release(params["release"])
        return cls(app, release, params, Builder(release.app), Tools(params["tools"]))

    @property
    def variables(self) -> dict[str, str]:
        """The app's environment variables, written as its processes get them; no secrets."""
        values = self.params["environment"].items()
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values}
        return {name: text for name, text in texts.items() if text}

    @property
    def repository(self) -> Repository:
        """The app's clone."""
        return Repository.existing(self.app.repository)

    @property
    def commit(self) -> str:
        """The commit as messages show it: its first 12 digits."""
        return self.params["commit"][:12]
