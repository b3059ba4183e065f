"""Writes an environment's directory: its settings with the reason for each, and its inventory."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from init.report import Finding, InitError
from init.settings_check import ROOT, SPECS

# What a new environment starts from: the files of inventory/production in a new clone, which its own settings never change.
TEMPLATE = ROOT / "init/template"
_LINE = re.compile(r"(?P<name>\w+):(?: (?P<value>.*?))??(?: # (?P<comment>.*))?")
_HEAD = "# The settings of {name}, written by bin/init; the comments of the app's settings are the reasons for them.\n"
# After this line of the template, settings that it lacks.
_LAST_OF_THE_APP = "app_health_path"


def filled_in(directory: Path) -> bool:
    """Return whether a directory has settings of an app; those of a new clone's production have none."""
    file = directory / "group_vars/all.yml"
    if not file.is_file():
        return directory.exists()
    values = yaml.safe_load(file.read_text()) or {}
    return bool(values.get("app_repository") or values.get("app_name") or values.get("site_domain"))


def check_free(directory: Path) -> None:
    """Raise InitError when a directory has settings already, which are never overwritten."""
    if filled_in(directory):
        raise InitError(
            f"{directory.relative_to(ROOT)} has settings already, and they are not overwritten. Choose another name: --env NAME"
        )


def render(name: str, answers: Mapping[str, Any], findings: Mapping[str, Finding]) -> str:
    """Return the text of the settings file."""
    given: dict[str, tuple[Any, str]] = {setting: (value, "") for setting, value in answers.items()}
    given |= {setting: (finding.value, str(finding)) for setting, finding in findings.items()}
    given["environment_name"] = (name, "")
    lines = [_HEAD.format(name=name)]
    database = given.get("database", ("mysql", ""))[0]
    known = set()
    for line in (TEMPLATE / "all.yml").read_text().splitlines(keepends=True)[1:]:
        found = _LINE.fullmatch(line.rstrip("\n"))
        setting = found["name"] if found else ""
        if setting in given:
            value, reason = given[setting]
            known.add(setting)
            lines += (
                []
                if _is_default(setting, value)
                else [_line(setting, value, reason or (found["comment"] if found else ""))]
            )
        elif database == "none" and SPECS.get(setting, {}).get("unless", {}).get("database") == "none":
            continue
        elif not (setting.startswith("app_") or setting == "content_security_policy"):
            lines.append(line)
        if setting == _LAST_OF_THE_APP:
            rest = [name for name in given if name not in known and name not in _names_of_template()]
            lines += [_line(name, *given[name]) for name in rest if not _is_default(name, given[name][0])]
    return "".join(lines)


def _names_of_template() -> set[str]:
    found = (_LINE.fullmatch(line) for line in (TEMPLATE / "all.yml").read_text().splitlines())
    return {match["name"] for match in found if match}


def _is_default(setting: str, value: Any) -> bool:
    return setting in SPECS and "default" in SPECS[setting] and SPECS[setting]["default"] == value


def in_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False).strip()
    return text.removesuffix("\n...").strip()


def _line(setting: str, value: Any, comment: str) -> str:
    return f"{setting}: {in_yaml(value)}{f' # {comment}' if comment else ''}\n"


def write(name: str, text: str) -> list[Path]:
    """Write the settings and the inventory of an environment; return the files."""
    directory = ROOT / "inventory" / name
    settings, inventory = directory / "group_vars/all.yml", directory / "aws_ec2.yml"
    new = not directory.exists()
    settings.parent.mkdir(parents=True, exist_ok=True)
    try:
        inventory.write_text((TEMPLATE / "aws_ec2.yml").read_text())
        settings.write_text(text)
    except OSError:
        if new:
            shutil.rmtree(directory)
        raise
    return [settings, inventory]
