"""The version of a requirement, where it decides about a setting."""

import re
from pathlib import PurePosixPath

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from init.project import Project

_FILES = re.compile(r".*requirements.*\.txt|(?:base|prod\w*|common)\.txt|pyproject\.toml|setup\.py|(?:uv|poetry)\.lock")


def allows(project: Project, subdir: str, name: str, major: str) -> bool:
    """Return whether the app's requirements allow a major version of a package; a lock file comes first."""
    files = [path for path in project.named(_FILES.pattern) if PurePosixPath(path).is_relative_to(subdir or ".")]
    for path in sorted(files, key=lambda path: not path.endswith(".lock")):
        text = project.text(path)
        if locked := re.search(rf'name = "{name}"\nversion = "(\d+)', text):
            return locked[1] == major
        if found := re.search(
            rf"(?im)(?:^|[\"'])\s*{name}(?:\[[^]]*\])?[\"']?\s*(?:=\s*[\"'])?\s*([<>=!~^][^;#\"'\\\n]*|\d[\d.]*)?", text
        ):
            wanted = (
                re.sub(r"\^\s*(\d+)", lambda one: f"=={one[1]}.*,>={one[1]}", found[1] or "").split(" --")[0].strip()
            )
            try:
                return SpecifierSet(wanted if not wanted[:1].isdigit() else f"=={wanted}").contains(
                    f"{major}.999"
                ) or any(wanted.startswith(f"{operator}{major}") for operator in ("==", "~=", "==="))
            except InvalidSpecifier:
                return True
    return True
