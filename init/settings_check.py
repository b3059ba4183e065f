"""The rules of the settings: the same that every run checks."""

import importlib.util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("settings_filter", ROOT / "plugins/filter/settings.py")
if _spec is None or _spec.loader is None:
    raise ImportError("plugins/filter/settings.py can't be loaded.")
_filter = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_filter)

# Settings with environment variables of the app.
VARIABLES: tuple[str, ...] = _filter.VARIABLES
SPECS: dict[str, dict[str, Any]] = _filter.load(ROOT / "roles/settings/files/spec.yml")


def role_variables() -> set[str]:
    """Return the variables of roles, which a settings file may have too."""
    return {
        name
        for path in ROOT.glob("roles/*/meta/argument_specs.yml")
        for entry in _filter.load(path)["argument_specs"].values()
        for name in entry.get("options") or {}
    }


def suggestion(name: str) -> str:
    """Return a hint that names the setting closest to a misspelt one; empty for none."""
    names = (setting for setting, spec in SPECS.items() if not spec.get("once"))
    return str(_filter.suggest(name, [*names, *sorted(role_variables())]))


def calendar(schedule: str) -> str:
    """Return a schedule of cron in systemd's notation; empty where that needs two, or for another text."""
    found = _filter.CRON.fullmatch(schedule)
    # cron runs on each of the two days, systemd only where both agree.
    return str(_filter.from_cron(*found.groups())) if found and "*" in (found[3], found[5]) else ""


def problem(name: str, value: Any) -> str:
    """Return what is wrong with the value of a setting; empty for a valid one. Files are not looked for."""
    spec = {key: rule for key, rule in SPECS[name].items() if key not in ("public_key", "file")}
    found = _filter.check_value(spec, value)
    return f"found {found}. Allowed: {spec['expected']}" if found else ""


def problems(directory: Path) -> list[str]:
    """Return the problems of an environment's directory."""
    values = _filter.load(directory / "group_vars/all.yml")
    return list(_filter.settings_problems(values, [str(directory)], str(ROOT)))
