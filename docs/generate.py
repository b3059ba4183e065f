"""`bin/docs`: generate the tables of the docs from the roles' argument specs and the settings' spec."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table: written by bin/docs -->\n", "<!-- /table -->"
LONGEST_DEFAULT = 70


def load(path: Path) -> dict[str, Any]:
    """Return a YAML file as a dict; empty when there is no such file."""
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def entry_points(role: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the specs of the variables of each entry point of a role, by name."""
    specs = load(role / "meta/argument_specs.yml")["argument_specs"]
    return {name: entry.get("options", {}) for name, entry in specs.items()}


def show_type(spec: dict[str, Any]) -> str:
    """Return a type in words."""
    return f"list of {spec['elements']}" if "elements" in spec else str(spec["type"])


def show_default(value: Any) -> str:
    """Return a default as written in YAML."""
    return f"`{value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)}`"


def show_default_of_role(value: Any) -> str:
    """Return a default as written in YAML, or a link to the role's defaults when it is long."""
    text = show_default(value)
    return text if len(text) <= LONGEST_DEFAULT + len("``") else "[see defaults](defaults/main.yml)"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def role_table(role: Path) -> str:
    """Return the table of a role's variables, required ones first, with the entry points that take each if there are several."""
    entries, defaults = entry_points(role), load(role / "defaults/main.yml")
    options = {name: spec for entry in reversed(entries.values()) for name, spec in entry.items()}
    takers = {name: [entry for entry, found in entries.items() if name in found] for name in options}
    if not options:
        return "It has no variables of its own.\n"
    rows = [
        [
            f"`{name}`",
            show_type(spec),
            "required" if spec.get("required") else show_default_of_role(defaults.get(name)),
            spec["description"],
            *([", ".join(takers[name]) if takers[name] != list(entries) else "all"] if len(entries) > 1 else []),
        ]
        for name, spec in sorted(options.items(), key=lambda item: not item[1].get("required"))
    ]
    return table(["variable", "type", "default", "what it is", *(["entry points"] if len(entries) > 1 else [])], rows)


def settings_table() -> str:
    """Return the table of an environment's settings."""
    specs = load(ROOT / "roles/settings/files/spec.yml")
    rows = [
        [
            f"`{name}`",
            show_type(spec),
            "one run" if spec.get("once") else show_default(spec["default"]) if "default" in spec else "required",
            spec["description"],
            spec["expected"],
        ]
        for name, spec in specs.items()
    ]
    return table(["setting", "type", "default", "what it is", "allowed"], rows)


def pages() -> dict[Path, str]:
    """Return each page that has a table, as it should be. Exits when a page has no place for its table."""
    tables = {role / "README.md": role_table(role) for role in sorted(ROOT.glob("roles/*/"))}
    tables[ROOT / "docs/settings.md"] = settings_table()
    found = {}
    for page, text in tables.items():
        before, begin, rest = (page.read_text() if page.exists() else "").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            sys.exit(f"bin/docs: {page.relative_to(ROOT)} needs the lines '{BEGIN.strip()}' and '{END}'.")
        found[page] = f"{before}{BEGIN}{text}{END}{after}"
    return found


def main() -> None:
    """Write what is stale; with --check fail instead."""
    parser = argparse.ArgumentParser(prog="bin/docs", description="Write the tables of the docs from the specs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    check = parser.parse_args().check
    stale = {page: text for page, text in pages().items() if text != page.read_text()}
    for page, text in stale.items():
        print(f"{page.relative_to(ROOT)} is stale" if check else f"{page.relative_to(ROOT)} is written")
        if not check:
            page.write_text(text)
    if stale and check:
        sys.exit("bin/docs: run bin/docs and commit what it writes.")


if __name__ == "__main__":
    main()
