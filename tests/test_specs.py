"""Specs, defaults, tasks and wiring are consistent: names, types, values, and no role reads another's variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from jinja2 import Environment, meta, nodes

ROOT = Path(__file__).parent.parent
ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/tasks"))
WIRINGS = ["wiring.yml", "aws_wiring.yml"]

# First words of task names: the verbs that Ansible's own documentation uses. Add similar verbs when needed.
VERBS = set(
    re.findall(
        r"\w+",
        """
    Accept Acquire Add Apply Assign Back Build Cancel Check Choose Compare Complete Configure Continue Converge Copy Create
    Delete Deploy Disable Drain Dump Enable Encrypt Ensure Fetch Finish Generate Grant Harden Identify Import Install
    Keep Launch Link List Load Migrate Obtain Point Prepare Prompt Provision Publish Read Record Refuse Release Reload
    Remove Renew Report Request Resize Restart Restore Resume Revoke Roll Rotate Route Run Save Schedule Show Start Stop Store Swap
    Switch Trust Undo Update Upgrade Validate Verify Wait
""",
    )
)

# Ansible's own variables and functions in templates.
ANSIBLE_NAMES = {
    *("groups", "group_names", "hostvars", "inventory_hostname", "item", "lookup", "now", "omit", "playbook_dir"),
    *("q", "query", "range", "role_name", "role_path", "undef", "vars"),
}
# Keywords whose text is an expression without braces.
EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when"}
SAMPLES = {
    "str": "sample",
    "path": "/sample",
    "int": 30,
    "bool": True,
    "list": ["sample"],
    "dict": {"address": "sample", "port": 1},
}


@cache
def load(path: Path) -> Any:
    """Return a YAML file's content; an empty dict when there is no such file."""
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def spec_of(role: str) -> dict[str, dict[str, Any]]:
    """Return the options of all entry points of a role."""
    options: dict[str, dict[str, Any]] = {}
    for entry in load(ROOT / f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values():
        options |= entry.get("options") or {}
    return options


def defaults_of(role: str) -> dict[str, Any]:
    """Return a role's defaults without templating."""
    return load(ROOT / f"roles/{role}/defaults/main.yml")


def walk_tasks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each task and each block with its tasks."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from walk_tasks(task.get(part, []))


def tasks_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a file of tasks or plays."""
    for entry in load(path) or []:
        if "hosts" in entry or "ansible.builtin.import_playbook" in entry:
            yield entry
            for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from walk_tasks(entry.get(part, []))
        else:
            yield from walk_tasks([entry])


def texts(value: Any, expression: bool = False) -> Iterator[str]:
    """Yield each text in a YAML value as a template."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, key in EXPRESSIONS)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, expression)
    elif isinstance(value, str):
        yield f"{{{{ {value} }}}}" if expression and "{{" not in value else value


class AnyPlugin(dict[str, Any]):
    """Replaces Ansible's filters and tests: only the names of variables matter here."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a filter that is never called."""
        return str


PARSER = Environment()
PARSER.filters, PARSER.tests = AnyPlugin(), AnyPlugin()


@cache
def names_in(template: str) -> frozenset[str]:
    """Return the variables that a template reads and does not set itself."""
    return frozenset(meta.find_undeclared_variables(PARSER.parse(template)))


def local_names(value: Any) -> set[str]:
    """Return the names of a task's loop variables."""
    found: set[str] = set()
    if isinstance(value, dict):
        found |= {inner for key, inner in value.items() if key in ("loop_var", "index_var")}
        value = list(value.values())
    for inner in value if isinstance(value, list) else []:
        found |= local_names(inner)
    return found


def names_read_by(role: str) -> dict[str, str]:
    """Return each variable that a role's files read, and one of these files."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.glob(f"roles/{role}/*/*")):
        kind = path.parent.name
        if kind in ("tasks", "handlers", "defaults", "vars"):
            content = load(path)
            names = {name for text in texts(content) for name in names_in(text)} - local_names(content)
        elif kind == "templates":
            names = names_in(path.read_text())
        else:
            continue
        found |= dict.fromkeys(names, str(path.relative_to(ROOT)))
    return found


def is_ansible_name(name: str) -> bool:
    """Return whether Ansible defines this name."""
    return name in ANSIBLE_NAMES or name.startswith("ansible_")


@pytest.mark.parametrize("role", ROLES)
def test_a_variable_has_a_default_or_is_required(role: str) -> None:
    spec, defaults = spec_of(role), defaults_of(role)
    assert defaults.keys() - spec.keys() == set(), "in defaults, not in the spec"
    required = {name for name, option in spec.items() if option.get("required")}
    assert required & defaults.keys() == set(), "required, but with a default"
    assert spec.keys() - required - defaults.keys() == set(), "not required, but without a default"


@pytest.mark.parametrize("role", ROLES)
def test_a_default_in_the_spec_is_the_effective_one(role: str) -> None:
    defaults = defaults_of(role)
    reported = {name: option["default"] for name, option in spec_of(role).items() if "default" in option}
    assert reported == {name: defaults[name] for name in reported}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_of_their_declared_type(role: str) -> None:
    spec, defaults = spec_of(role), DataLoader()
    path = ROOT / f"roles/{role}/defaults/main.yml"
    written = defaults.load_from_file(str(path), trusted_as_template=True) or {} if path.exists() else {}
    required = {name: SAMPLES[option["type"]] for name, option in spec.items() if option.get("required")}
    templar = Templar(DataLoader(), variables={"inventory_hostname": "sample"} | required | written)
    values = {name: templar.template(value) for name, value in written.items()}
    for name, value in values.items():
        kind = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict}[spec[name]["type"]]
        right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        assert right, f"{name}: {value!r}"
    optional = {name: option for name, option in spec.items() if not option.get("required")}
    assert ArgumentSpecValidator(optional).validate(values).error_messages == []


@pytest.mark.parametrize("role", ROLES)
def test_variables_are_named_after_their_role(role: str) -> None:
    assert [name for name in spec_of(role) if not name.startswith(f"{role}_")] == []
    internal = load(ROOT / f"roles/{role}/vars/main.yml")
    assert [name for name in internal if not name.startswith((f"{role}_", f"_{role}_"))] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_default_is_explained(role: str) -> None:
    path = ROOT / f"roles/{role}/defaults/main.yml"
    text = path.read_text().removeprefix("---\n") if path.exists() else ""
    paragraphs = [part for part in text.strip().split("\n\n") if part]
    assert [part for part in paragraphs if not part.startswith("#")] == []


@pytest.mark.parametrize("role", ROLES)
def test_each_variable_is_described(role: str) -> None:
    assert [name for name, option in spec_of(role).items() if not option.get("description")] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_its_own_variables_only(role: str) -> None:
    foreign = {
        name: place
        for name, place in names_read_by(role).items()
        if not name.startswith((f"{role}_", f"_{role}_")) and not is_ansible_name(name)
    }
    assert foreign == {}


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_that_a_role_reads_exists(role: str) -> None:
    own = spec_of(role).keys() | load(ROOT / f"roles/{role}/vars/main.yml").keys()
    for path in ROOT.glob(f"roles/{role}/tasks/*.yml"):
        for task in tasks_of(path):
            own |= (
                {task.get("register")} | task.get("vars", {}).keys() | task.get("ansible.builtin.set_fact", {}).keys()
            )
        # Variables that a task passes to its template.
        own |= set(re.findall(r"template_vars=\{'(\w+)'", path.read_text()))
    read = {name: place for name, place in names_read_by(role).items() if not is_ansible_name(name)}
    assert {name: place for name, place in read.items() if name not in own} == {}


@pytest.mark.parametrize(
    "path",
    sorted(
        path
        for pattern in ("site.yml", "playbooks/*.yml", "roles/*/tasks/*.yml", "roles/*/handlers/*.yml")
        for path in ROOT.glob(pattern)
    ),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_task_names_start_with_a_verb(path: Path) -> None:
    named = [task.get("name", "") for task in tasks_of(path)]
    assert [name for name in named if not name or name.split()[0].rstrip(",") not in VERBS] == []


def conditions(value: Any, inside: bool = False) -> Iterator[str]:
    """Yield each condition in a YAML value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from conditions(inner, key in EXPRESSIONS)
    elif isinstance(value, list):
        for inner in value:
            yield from conditions(inner, inside)
    elif inside and isinstance(value, str):
        yield value


@cache
def variables() -> dict[str, Any]:
    """Return the variables of roles, tasks and all hosts, and true for each option of type bool."""
    paths = (*ROOT.glob("roles/*/vars/main.yml"), *ROOT.glob("group_vars/all/*.yml"))
    found = {name: value for path in paths for name, value in load(path).items()}
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        found |= {name: value for task in tasks_of(path) for name, value in task.get("vars", {}).items()}
    options = {name: option for role in ROLES for name, option in spec_of(role).items()}
    return found | {name: True for name, option in options.items() if option["type"] == "bool"}


def is_boolean(node: nodes.Node) -> bool:
    """Return whether an expression is a boolean whatever its variables are; Ansible fails for others."""
    match node:
        case nodes.Compare() | nodes.Test() | nodes.Not() | nodes.Filter(name="bool"):
            return True
        case nodes.And() | nodes.Or():
            return is_boolean(node.left) and is_boolean(node.right)
        case nodes.Call(node=nodes.Getattr(attr="startswith" | "endswith")):
            return True
        case nodes.Getattr(attr="exists") | nodes.Name(name="ansible_check_mode"):
            return True
        case nodes.Name():
            value = variables().get(node.name)
            return value is True or (isinstance(value, str) and is_boolean(expression(value.strip()[2:-2])))
    return False


def expression(text: str) -> nodes.Node:
    """Return the syntax tree of an expression."""
    return PARSER.parse(f"{{{{ {text} }}}}").body[0].nodes[0]


def test_a_condition_is_a_boolean() -> None:
    """Also one that ends with `or` and a list: Ansible fails when it is the list that counts."""
    patterns = ("site.yml", "playbooks/**/*.yml", "roles/*/tasks/*.yml", "roles/*/handlers/*.yml", "molecule/**/*.yml")
    paths = [path for pattern in patterns for path in ROOT.glob(pattern)]
    found = [(path.name, text) for path in paths for text in conditions(load(path))]
    assert len(found) > 90
    assert [(name, text) for name, text in found if not is_boolean(expression(text))] == []


@pytest.mark.parametrize(
    ("text", "boolean"),
    [
        ("a | length > 0 and (b or c)", False),
        ("a or b is defined", False),
        ("not a", True),
        ("rds_backup_enabled", True),
    ],
)
def test_the_check_of_conditions_sees_lists(text: str, boolean: bool) -> None:
    assert is_boolean(expression(text)) == boolean


@pytest.mark.parametrize("role", ROLES)
def test_the_main_file_is_a_table_of_contents(role: str) -> None:
    tasks = list(walk_tasks(load(ROOT / f"roles/{role}/tasks/main.yml")))
    if role == "settings":
        assert len(tasks) == 1
    else:
        assert [task["name"] for task in tasks if not {"block", "ansible.builtin.import_tasks"} & task.keys()] == []


def wired() -> dict[str, Any]:
    """Return the variables of the wiring."""
    found: dict[str, Any] = {}
    for name in WIRINGS:
        found |= load(ROOT / "group_vars/all" / name)
    return found


def test_the_wiring_sets_options_of_roles_only() -> None:
    options = {name for role in ROLES for name in spec_of(role)}
    read = {name for value in wired().values() for text in texts(value) for name in names_in(text)}
    # A helper is not an option; the wiring itself must read it.
    assert {name for name in wired() if name not in options and name not in read} == set()


def test_every_required_variable_is_wired() -> None:
    required = {name for role in ROLES for name, option in spec_of(role).items() if option.get("required")}
    # Facts of a run, such as the release.
    facts = {
        name
        for path in ROOT.glob("playbooks/**/*.yml")
        for task in tasks_of(path)
        for name in (*task.get("ansible.builtin.set_fact", {}), *task.get("vars", {}))
    }
    assert required - wired().keys() - facts == set()


def test_the_wiring_reads_settings_names_and_outputs_only() -> None:
    """A role's outputs, not its options: these exist only when the other role happens to be in the same play."""
    known = set(load(ROOT / "roles/settings/files/spec.yml")) | load(ROOT / "group_vars/all/names.yml").keys()
    # A helper of the wiring.
    known |= {name for name in wired() if name.startswith("_")}
    for role in ROLES:
        known |= {name for name in load(ROOT / f"roles/{role}/vars/main.yml") if not name.startswith("_")}
        for path in ROOT.glob(f"roles/{role}/tasks/*.yml"):
            for task in tasks_of(path):
                known |= task.get("ansible.builtin.set_fact", {}).keys()
    read = {name for value in wired().values() for text in texts(value) for name in names_in(text)}
    assert {name for name in read if name not in known and not is_ansible_name(name)} == set()


def test_a_repeated_default_equals_that_of_the_setting() -> None:
    """Only empty defaults are repeated; others come from the spec, by the filter setting_default."""
    spec = load(ROOT / "roles/settings/files/spec.yml")
    found = [
        (name, value)
        for path in (*ROOT.glob("group_vars/all/*.yml"), *ROOT.glob("playbooks/**/*.yml"))
        for name, value in re.findall(
            r"\b(\w+) \| default\(((?:\[.*?\]|\{.*?\}|'[^']*'|true|false))\)", path.read_text()
        )
        if name in spec
    ]
    assert len(found) > 15
    assert [name for name, value in found if yaml.safe_load(value) != spec[name].get("default")] == []


def test_a_roles_default_equals_that_of_its_setting() -> None:
    """For a setting that is passed to a role unchanged."""
    spec = load(ROOT / "roles/settings/files/spec.yml")
    defaults = {name: value for role in ROLES for name, value in load(ROOT / f"roles/{role}/defaults/main.yml").items()}
    names = load(ROOT / "group_vars/all/names.yml")
    passed = {
        option: setting[1]
        for option, value in wired().items()
        if isinstance(value, str)
        and (setting := re.fullmatch(r"\{\{ (\w+)(?: \| default\(.*\))? \}\}", str(names.get(value[3:-3], value))))
        and "default" in spec.get(setting[1], {})
        and option in defaults
    }
    assert passed["gunicorn_timeout"] == "app_timeout"
    assert len(passed) > 15
    assert [(o, s) for o, s in passed.items() if defaults[o] != spec[s]["default"]] == []


def test_the_check_of_names_sees_loops_conditions_and_templates() -> None:
    task = {"when": "nginx_root and item", "loop": "{{ base_users }}", "loop_control": {"index_var": "position"}}
    names = {name for text in texts([task]) for name in names_in(text)}
    assert names == {"nginx_root", "item", "base_users"}
    assert local_names([task]) == {"position"}
    assert names_in("{% for user in base_users %}{{ user.name ~ other }}{% endfor %}") == {"base_users", "other"}
