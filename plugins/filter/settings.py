"""Ansible filters for the settings: `settings_problems` validates them, `setting_default` returns the default of one,
`app_variables` returns where the app's environment variables are set."""

from __future__ import annotations

import difflib
import functools
import ipaddress
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

# On the command line, refused by plugins/lookup/secret_input.py with its reason.
DISCLOSED = "secret_value"
# Of gunicorn's options, those that the release mechanism sets.
GUNICORN_OPTIONS = frozenset(
    [
        "-b",
        "--bind",
        "-c",
        "--config",
        "-D",
        "--daemon",
        "-g",
        "--group",
        "-p",
        "--pid",
        "-t",
        "--timeout",
        "-u",
        "--user",
        "--chdir",
        "--graceful-timeout",
        "--reload",
    ]
)
# Those that ImportKeyPair takes.
EC2_KEY_TYPES = ("ssh-ed25519", "ssh-rsa")
WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_NUMBER = r"(?:\*|\d+(?:\.\.\d+)?)(?:/\d+)?"
_NUMBERS = rf"{_NUMBER}(?:,{_NUMBER})*"
_DAY = r"(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat)[a-z]*"
# systemd.time(7): a keyword, or weekdays, date, time and zone, of which each may be missing.
CALENDAR = re.compile(
    "(?:minutely|hourly|daily|monthly|weekly|quarterly|semiannually|annually|yearly)(?: UTC)?"
    rf"|(?=.)(?:{_DAY}(?:(?:\.\.|,){_DAY})*(?: |$))?"
    rf"(?:(?:{_NUMBERS}-)?{_NUMBERS}[-~]{_NUMBERS}(?: |$))?"
    rf"(?:{_NUMBERS}:{_NUMBERS}(?::{_NUMBERS}(?:\.\d+)?)?(?: |$))?"
    r"(?:(?<= )(?:UTC|[A-Z][A-Za-z_]+/[A-Za-z_/]+))?(?<! )"
)
_CRON = r"([*\d,/-]+)"
CRON = re.compile(rf"{_CRON}\s+{_CRON}\s+{_CRON}\s+{_CRON}\s+([*\d,/a-zA-Z-]+)")
ARGUMENT_KEYS = ("type", "elements", "choices")
# Settings with environment variables of the app.
VARIABLES = ("app_environment", "app_secrets", "app_generated_secrets", "app_database_variables")


class _Loader(yaml.CSafeLoader):
    """Reads settings files; a tag such as !vault becomes its text."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: getattr(node, "value", None))


class Place:
    """The location of a setting: a file and a line."""

    def __init__(self, path: Path, line: int) -> None:
        self.path, self.line = path, line

    def __str__(self) -> str:
        return f"{shorten(self.path)}:{self.line}"


def shorten(path: Path) -> str:
    """Return the path relative to the current directory, if it is inside."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def read_nodes(path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    """Return the top-level keys of a YAML file and their values, with their locations."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    return node.value if isinstance(node, yaml.MappingNode) else []


def read_keys(path: Path) -> dict[str, Place]:
    """Return the top-level keys of a YAML file and their locations."""
    return {key.value: Place(path, key.start_mark.line + 1) for key, _ in read_nodes(path)}


def repeated_keys(path: Path, nodes: Iterable[tuple[yaml.Node, yaml.Node]]) -> list[str]:
    """Return a problem for each key of a mapping, or of one inside it, that is there twice: YAML takes the last one."""
    problems, seen = [], {}
    for key, value in nodes:
        if key.value in seen:
            problems.append(
                f"{key.value} ({Place(path, key.start_mark.line + 1)}): is in line {seen[key.value]}, too. Remove one of them"
            )
        seen[key.value] = key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            problems += repeated_keys(path, value.value)
    return problems


def read_entries(path: Path, setting: str) -> dict[str, Place]:
    """Return the entries of a setting, a list or a dict, in a YAML file and their locations."""
    entries: list[Any] = []
    for key, value in read_nodes(path):
        if key.value == setting and not isinstance(value, yaml.ScalarNode):
            entries = [one[0] if isinstance(one, tuple) else one for one in value.value]
    return {one.value: Place(path, one.start_mark.line + 1) for one in entries}


def load(path: Path) -> dict[str, Any]:
    """Return a YAML file as a dict."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) or {}  # a subclass of the safe loader


def directories_of(sources: Iterable[str]) -> list[Path]:
    """Return the directory of each inventory source."""
    paths = [Path(source).absolute() for source in sources]
    return [path if path.is_dir() else path.parent for path in paths]


def settings_files(directory: Path) -> list[Path]:
    """Return the settings files of an inventory directory, in the order in which Ansible reads them."""
    candidates = [directory / "group_vars" / name for name in ("all", "all.yml", "all.yaml")]
    files = [path for path in candidates if path.is_file()]
    return files + sorted(path for path in candidates[0].glob("*") if path.suffix in (".yml", ".yaml"))


def plain(value: Any) -> Any:
    """Return a list or dict that does not belong to Ansible, whose own are copied with all variables."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def check_value(spec: Mapping[str, Any], value: Any) -> str | None:
    """Return what was found when the value is not allowed, else None."""
    if value is None or value in ("", [], {}):
        return None if spec.get("empty") and value is not None else "nothing"
    found = f'"{value}"' if isinstance(value, str) else str(value)
    if spec["type"] == "str" and isinstance(value, float):
        return f"{value}, a number, which may have lost a zero at its end. Put it in quotes"
    if spec["type"] == "list" and not isinstance(value, list):
        return found  # the validator would split a string at commas
    argument = {key: spec[key] for key in ARGUMENT_KEYS if key in spec}
    result = ArgumentSpecValidator({"value": argument}).validate({"value": plain(value)})
    if result.error_messages or (isinstance(value, bool) and spec["type"] != "bool"):
        return found
    valid = result.validated_parameters["value"]
    if spec["type"] == "dict":
        return check_dict(spec, value) if isinstance(value, dict) else found
    if spec["type"] == "int":
        return None if spec.get("minimum", valid) <= valid <= spec.get("maximum", valid) else found
    entries = valid if isinstance(valid, list) else [valid]
    return join_found(check_text(spec, one) for one in entries) or check_disjoint(spec, entries)


def join_found(found: Iterable[str | None]) -> str | None:
    """Return everything that was found, without what is allowed; None when nothing was."""
    return ", ".join(filter(None, found)) or None


def check_disjoint(spec: Mapping[str, Any], paths: list[str]) -> str | None:
    """Return what was found when a path is another one or inside it, though this is not allowed, else None."""
    pairs = itertools.permutations(paths, 2) if spec.get("disjoint") else ()
    return next((f'"{one}" inside "{other}"' for one, other in pairs if f"{one}/".startswith(f"{other}/")), None)


def check_dict(spec: Mapping[str, Any], entries: Mapping[str, Any]) -> str | None:
    """Return what was found when names or values are not allowed, else None."""
    return join_found(check_entry(spec, name, value) for name, value in entries.items())


def check_entry(spec: Mapping[str, Any], name: str, value: Any) -> str | None:
    """Return what was found when an entry of a dict is not allowed, else None."""
    if not re.fullmatch(spec["keys"], str(name)):
        return f'the name "{name}"'
    wrong = None
    if "fields" in spec:
        if not isinstance(value, dict) or set(value) != set(spec["fields"]):
            return f"{name}: {value}"
        if "calendar" in spec:
            wrong = check_calendar(str(value[spec["calendar"]]))
    elif isinstance(value, (dict, list)) or value is None:
        return f"{name}: {value}"
    else:
        wrong = check_text(spec, str(value))
    return f"{name}: {wrong}" if wrong else None


def check_calendar(text: str) -> str | None:
    """Return what was found when the text is not a schedule in systemd's calendar notation, else None."""
    if CALENDAR.fullmatch(text):
        return None
    cron = CRON.fullmatch(text)
    if not cron:
        return f'"{text}"'
    _minute, _hour, day, _month, weekday = cron.groups()
    # cron runs on each of both, systemd only where both agree.
    instead = "needs two timers" if "*" not in (day, weekday) else f'is "{from_cron(*cron.groups())}"'
    return f"\"{text}\", which is cron's notation; systemd's {instead}"


def from_cron(minute: str, hour: str, day: str, month: str, weekday: str) -> str:
    """Return a schedule of cron in systemd's calendar notation."""

    def field(text: str, first: int = 0) -> str:
        return re.sub(r"(^|,)\*/", rf"\g<1>{first}/", text).replace("-", "..")

    def names(found: re.Match[str]) -> str:
        return WEEKDAYS[int(found[0]) % 7]

    days = "" if weekday == "*" else f"{re.sub('[0-9]', names, weekday).title().replace('-', '..')} "
    return f"{days}*-{field(month, 1)}-{field(day, 1)} {field(hour)}:{field(minute)}:00"


def check_text(spec: Mapping[str, Any], text: Any) -> str | None:
    """Return what was found when the text is not allowed, else None."""
    if "pattern" in spec and not re.fullmatch(spec["pattern"], text):
        return f'"{text}"'
    if "network" in spec:
        shortest, longest = spec["network"]
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            return f'"{text}" ({error})'
        if "/" not in text or not shortest <= network.prefixlen <= longest:
            return f'"{text}"'
    if spec.get("file") and not Path(text).expanduser().is_file():
        return f'"{text}", which is not a file'
    if spec.get("regex"):
        try:
            re.compile(text)
        except re.error as error:
            return f'"{text}" ({error})'
    if spec.get("public_key"):
        path = Path(text)
        if not path.is_file():
            return f'"{text}", which is not a file'
        key = re.match(r"((?:ssh|ecdsa|sk)-\S+) \S+", path.read_text(encoding="utf-8", errors="replace"))
        if not key:
            return f'"{text}", which does not contain a public key'
        if key[1] not in EC2_KEY_TYPES:
            return f'"{text}", which has a key of the type {key[1]}'
    return None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known setting closest to a misspelt one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def renamed_keys(values: Mapping[str, Any], written: Mapping[str, Place], renamed: Mapping[str, str]) -> list[str]:
    """Return a problem for each former name of a setting, in a file or on the command line."""
    return [
        f"{name} ({written.get(name, 'from the command line')}): is now called {renamed[name]}. Use that name"
        for name in renamed
        if name in values or name in written
    ]


def unknown_keys(
    written: Mapping[str, Place], specs: Mapping[str, Any], options: set[str], wired: Mapping[str, Place]
) -> list[str]:
    """Return a problem for each key that is unknown, or that the wiring overrides."""
    problems = []
    for name, place in written.items():
        if name in wired and name not in specs:
            problems.append(
                f"{name} ({place}): has no effect here, because {wired[name]} overrides it. Change it there."
            )
        elif specs.get(name, {}).get("once"):
            problems.append(f"{name} ({place}): is for a single run only. Pass it on the command line: -e {name}=…")
        elif name not in specs and name not in options and not name.startswith("ansible_"):
            problems.append(f"{name} ({place}): is not a setting{suggest(name, [*specs, *sorted(options)])}")
    return problems


def unknown_options(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return a problem for each name on the command line that nothing reads."""
    names = sorted(known)
    return [
        f"{name} (from the command line): is not a setting{suggest(name, names)}"
        for name in given
        if name not in names and not name.startswith("ansible_")
    ]


def check_directory(
    values: Mapping[str, Any], spec: Mapping[str, Any], written: Mapping[str, Place], directory: Path
) -> list[str]:
    """Return a problem when a valid environment's name is not that of its directory, so that a copy never acts on its original."""
    name = values.get("environment_name")
    if name == directory.name or check_value(spec, name):
        return []
    return [
        f'environment_name ({written.get("environment_name", "from the command line")}): found "{name}" in the directory {shorten(directory)}. '
        f"Allowed: {directory.name}, the name of the directory; or rename the directory"
    ]


def check_values(
    values: Mapping[str, Any], specs: Mapping[str, Any], written: Mapping[str, Place], home: Path
) -> list[str]:
    """Return a problem for each setting that is missing or whose value is not allowed."""
    problems = []
    for name, spec in specs.items():
        place = written.get(name)
        try:
            unless = spec.get("unless", {}).items()
            if name not in values and ("default" in spec or any(values.get(other) == value for other, value in unless)):
                continue
            if name not in values:
                problems.append(f"{name}: is missing; add it to {shorten(home)}. Allowed: {spec['expected']}")
                continue
            found = check_value(spec, values[name])
        except AnsibleError as error:
            found = f"a value that cannot be evaluated: {error}"
        if found:
            problems.append(f"{name} ({place or 'from the command line'}): found {found}. Allowed: {spec['expected']}")
    return problems


def check_gunicorn(arguments: str) -> list[str]:
    """Return a problem for arguments of gunicorn that can't be parsed, or that the release mechanism sets."""
    try:
        words = shlex.split(arguments)
    except ValueError as error:
        return [f"app_environment: GUNICORN_CMD_ARGS can't be parsed: {error}. Fix it"]
    owned = [word for word in words if word.partition("=")[0] in GUNICORN_OPTIONS]
    if not owned:
        return []
    shown = " ".join(owned)
    return [f"app_environment: GUNICORN_CMD_ARGS has {shown}, which would break the switch between releases. Remove it"]


def _names(entries: Any) -> set[str]:
    return {str(name) for name in entries} if isinstance(entries, (dict, list)) else set()


def check_options(values: Mapping[str, Any], options: Mapping[str, Any], written: Mapping[str, Place]) -> list[str]:
    """Return a problem for each option of a role whose value is of another type, or not one of its choices."""
    problems = []
    for name, spec in options.items():
        value = values.get(name)
        argument = {key: spec[key] for key in ARGUMENT_KEYS if key in spec}
        if ArgumentSpecValidator({"value": argument}).validate({"value": plain(value)}).error_messages or value is None:
            found = "nothing" if value is None else f'"{value}"' if isinstance(value, str) else value
            allowed = (
                ", ".join(map(str, spec["choices"])) if "choices" in spec else f"a value of the type {spec['type']}"
            )
            place = written.get(name, "from the command line")
            problems.append(f"{name} ({place}): found {found}. Allowed: {allowed}. {spec['description']}")
    return problems


def check_agreement(values: Mapping[str, Any]) -> list[str]:
    """Return a problem for each pair of settings that contradict each other."""
    problems = []
    zone, domain = values.get("dns_zone"), values.get("site_domain")
    if zone and domain and not f".{domain}".endswith(f".{zone}"):
        problems.append(f'dns_zone: found "{zone}", but site_domain "{domain}" is not in that zone. Change one of them')
    if domain in (values.get("site_aliases") or []):
        problems.append(f'site_aliases: "{domain}" is site_domain. Remove it')
    variables = values.get("app_environment")
    problems += check_gunicorn(str(variables.get("GUNICORN_CMD_ARGS", ""))) if isinstance(variables, dict) else []
    repository, token = str(values.get("app_repository")), values.get("app_repository_token")
    if token and not repository.startswith("https://"):
        problems.append(
            f'app_repository_token: app_repository is "{repository}", and only https:// takes a token. Change one of them'
        )
    if values.get("database") == "none" and values.get("app_database_variables"):
        problems.append(
            "app_database_variables: found variables of a database, but database is none. Change one of them"
        )
    for first, second in itertools.combinations(VARIABLES, 2):
        for name in sorted(_names(values.get(first)) & _names(values.get(second))):
            problems.append(f"{second}: {name} is in {first} too. Remove it from one of them")
    return problems


def settings_warnings(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each valid combination of settings that may not be intended."""
    warnings = []
    if values.get("app_shared_directories") and int(values.get("web_count") or 1) > 1:
        warnings.append(
            f"app_shared_directories: each of the {values['web_count']} web hosts has its own {', '.join(values['app_shared_directories'])}, "
            "so what one writes there the others don't see. Use one host (web_count: 1), or keep such data in the database or in S3."
        )
    return warnings


def settings_problems(values: Mapping[str, Any], sources: list[str], project: str) -> list[str]:
    """Return one line for each problem; an empty list when the settings are valid.

    values: the templated variables. sources: the inventory sources. project: the repository's directory.
    """
    root = Path(project)
    rules = root / "roles/settings/files"
    specs, renamed = load(rules / "spec.yml"), load(rules / "renamed.yml")
    directories = directories_of(sources)
    files = [path for directory in directories for path in settings_files(directory)]
    if not files:
        wanted = (
            directories[0] / "group_vars/all.yml" if directories else root / "inventory/production/group_vars/all.yml"
        )
        return [f"{shorten(wanted)}: is missing. Select an environment with -i, or copy the settings of another"]
    written: dict[str, Place] = {}
    for path in files:
        written |= read_keys(path)
    options: dict[str, Any] = {}
    for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        for entry in load(path)["argument_specs"].values():
            options |= entry.get("options") or {}
    given = load_extra_vars(DataLoader())
    wired: dict[str, Place] = {}
    for path in sorted(root.glob("group_vars/all/*.yml")):
        wired |= read_keys(path)
    # The command line outranks the files.
    places = {name: place for name, place in written.items() if name not in given}
    chosen = {name: options[name] for name in (*written, *given) if name in options and name not in specs}
    problems = [
        *(problem for path in files for problem in repeated_keys(path, read_nodes(path))),
        *renamed_keys(values, written, renamed),
        *unknown_keys({name: written[name] for name in written if name not in renamed}, specs, set(options), wired),
        *unknown_options(given, {*specs, *options, *wired, *renamed, DISCLOSED}),
        *check_values(values, specs, places, files[0]),
        *check_options(values, chosen, places),
        *check_directory(values, specs["environment_name"], places, directories[0]),
        *check_agreement(values),
    ]
    for warning in [] if problems else settings_warnings(values):
        Display().warning(warning)
    return problems


def app_variables(values: Mapping[str, Any], sources: list[str]) -> dict[str, dict[str, str]]:
    """Return the `setting` of each environment variable that the settings give the app, and its `place`, a file and a line.

    values: the templated variables. sources: the inventory sources.
    """
    files = [path for directory in directories_of(sources) for path in settings_files(directory)]
    found = {}
    for setting in VARIABLES:
        written: dict[str, Place] = {}
        for path in files:
            written |= read_entries(path, setting)
        for name in _names(values.get(setting)):
            found[name] = {"setting": setting, "place": str(written.get(name, "the command line"))}
    return found


@functools.cache
def setting_default(name: str) -> Any:
    """Return the default of a setting, from the settings' spec. Raises AnsibleError when it has none."""
    spec = load(Path(__file__).parents[2] / "roles/settings/files/spec.yml").get(name, {})
    if "default" not in spec:
        raise AnsibleError(f"The setting '{name}' has no default.")
    return spec["default"]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "app_variables": app_variables,
            "setting_default": setting_default,
            "settings_problems": settings_problems,
        }
