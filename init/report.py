"""What was found: values of settings with their reasons, and what is left to the user."""

from dataclasses import dataclass, field
from typing import Any


class InitError(Exception):
    """An error that the user can fix; the message has the cause and the fix."""


@dataclass(frozen=True)
class Place:
    """A file of the app, and a line in it; line 0 is the whole file."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass
class Finding:
    """The value of a setting, and the reasons for it."""

    value: Any
    reasons: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(dict.fromkeys(self.reasons))


class Report:
    """The settings that were found, by name, and notes for the user."""

    def __init__(self) -> None:
        self.findings: dict[str, Finding] = {}
        self.notes: list[str] = []
        # Settings of the user's, which replace what is found.
        self.given: dict[str, Any] = {}
        # File of an SQLite database in the app's directory; empty for none.
        self.sqlite = ""

    def add(self, setting: str, value: Any, reason: str, place: Place | None = None) -> None:
        """Set a setting; entries are added to those of a list or a dict, and the first value of any other stays."""
        text = f"{place}: {reason}" if place else reason
        finding = self.findings.get(setting)
        if finding is None:
            self.findings[setting] = Finding(value, [text])
        elif isinstance(value, list):
            new = [entry for entry in value if entry not in finding.value]
            finding.value = finding.value + new
            finding.reasons += [text] if new else []
        elif isinstance(value, dict):
            new_names = value.keys() - finding.value.keys()
            finding.value = value | finding.value
            finding.reasons += [text] if new_names else []

    def note(self, text: str, place: Place | None = None, unless: str = "") -> None:
        """Add a note for the user; `unless` is a setting that makes it unnecessary when it is given."""
        if unless not in self.given:
            self.notes.append(f"{place}: {text}" if place else text)

    def get(self, setting: str, default: Any = None) -> Any:
        """Return the value of a setting."""
        return self.findings[setting].value if setting in self.findings else default
