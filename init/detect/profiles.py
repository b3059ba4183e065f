"""Variables that select the configuration, with a default that is not for production."""

import ast
import re

from init.detect.entry import Entry
from init.module import Module
from init.project import Project
from init.reads import Read
from init.report import Report
from init.settings_check import VARIABLES
from init.syntax import literal

# Values such as development, shop.settings.dev and config.DevelopmentConfig.
_NOT_PRODUCTION = re.compile(
    r"(?i)(?:[\w.]*\.)?(?:dev|develop|development|debug|local|test|testing)(?:_?config|_?settings)?"
)
_PRODUCTION = re.compile(r"(?i)prod(?:uction)?(?:_?config|_?settings)?")
_SELECTS = re.compile(
    r"(?:\w+_)?(?:ENV|ENVIRONMENT|CONFIG|CONFIGURATION|CONFIG_(?:NAME|MODE|TYPE|CLASS)|PROFILE|MODE|STAGE|SETTINGS)"
)
_DEBUGS = re.compile(r"""\bDEBUG["']?\]?\s*[=:]\s*True\b""")


def detect(project: Project, entry: Entry, reads: dict[str, Read], report: Report) -> None:
    """Note the variables whose default selects a configuration of development, unless one is set."""
    modules = [m for m in project.modules.values() if not entry.subdir or m.path.is_relative_to(entry.subdir)]
    debugs = any(_DEBUGS.search(project.text(str(module.path))) for module in modules)
    given = {name for setting in VARIABLES for name in report.given.get(setting) or ()}
    for name, read in sorted(reads.items()):
        if name in given or name in report.get("app_environment", {}) or not isinstance(read.default, str):
            continue
        entries = _entries(modules, read.default)
        development = _NOT_PRODUCTION.fullmatch(read.default) or "Dev" in entries.get(read.default, "")
        if not development or not (debugs or entries or _SELECTS.fullmatch(name)):
            continue
        value = _production(modules, read.default, entries)
        example = (
            f"add the one for production to app_environment: {{{name}: {value}}}"
            if value
            else "add the one for production to app_environment"
        )
        report.note(f"{name} selects the configuration, and its default is {read.default}: {example}.", read.place)


def _entries(modules: list[Module], key: str) -> dict[str, str]:
    """Return the first table of the code that has a key: its keys with their values as text."""
    for module in modules:
        for node in module.nodes:
            if isinstance(node, ast.Dict):
                names = [literal(one) if one is not None else None for one in node.keys]
                if key in names and len(names) > 1:
                    return {str(one): ast.unparse(value) for one, value in zip(names, node.values, strict=True)}
    return {}


def _production(modules: list[Module], default: str, entries: dict[str, str]) -> str:
    """Return the value for production that is like the default; empty for none."""
    if found := [one for one in entries if _PRODUCTION.fullmatch(one)]:
        return found[0]
    # A class or a module by its dotted name.
    if "." in default:
        owner = default.rpartition(".")[0]
        classes = [node.name for module in modules for node in module.nodes if isinstance(node, ast.ClassDef)]
        stems = [module.path.stem for module in modules]
        return next((f"{owner}.{one}" for one in (*classes, *stems) if _PRODUCTION.fullmatch(one)), "")
    texts = {
        node.value
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return next((one for one in ("production", "prod") if one in texts), "")
