"""Configuration files that the app does not start without, and that are not in git."""

import ast
from pathlib import PurePosixPath

from init.apps import FACTORY
from init.detect.entry import Entry
from init.detect.files import package_of, share
from init.module import Module
from init.paths import Paths
from init.project import Project
from init.report import Report
from init.syntax import dotted, literal

_TESTS = ("exists", "isfile", "is_file", "environ", "getenv")
_SUFFIXES = {".cfg", ".conf", ".ini", ".json", ".py", ".toml", ".yaml", ".yml"}


def detect(project: Project, entry: Entry, report: Report) -> None:
    """Share the directory of such a file, and note how to give it to the hosts."""
    package = package_of(project, entry)
    relative = any(
        app.options.get("instance_relative_config") for module in project.modules.values() for app in module.apps
    )
    for path, module in project.modules.items():
        if not PurePosixPath(path).is_relative_to(entry.subdir or "."):
            continue
        optional = _optional(module)
        paths = Paths(module, entry.subdir, package)
        for call in module.calls:
            if id(call) not in optional:
                _detect_call(project, entry, module, call, paths, relative, report)


def _detect_call(
    project: Project, entry: Entry, module: Module, call: ast.Call, paths: Paths, relative: bool, report: Report
) -> None:
    method = dotted(call.func).rpartition(".")[2]
    first = call.args[0] if call.args else None
    name = literal(first)
    silent = len(call.args) > 1 or any(keyword.arg == "silent" and literal(keyword.value) for keyword in call.keywords)
    if method == "from_pyfile" and first is not None and not silent:
        _note_file(project, entry, module, call, _file(first, paths, relative), report)
    elif FACTORY.fullmatch(method):
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            _note_file(project, entry, module, call, paths.inside(value), report)
    elif method == "from_envvar" and isinstance(name, str) and not silent:
        report.note(
            f"{name} names a configuration file, and the app does not start without it. Add a shared directory, such as instance, to "
            f"app_shared_directories, and the file's path to app_environment: {{{name}: /srv/NAME/shared/instance/settings.cfg}}. "
            f"{_give('instance/settings.cfg')}",
            module.place(call),
        )
    elif method == "from_object" and isinstance(name, str) and _is_missing(project, entry, name):
        report.note(
            f"the app reads its configuration from the module {name}, which is not in git. Commit one that reads variables.",
            module.place(call),
        )


def _is_missing(project: Project, entry: Entry, name: str) -> bool:
    """Return whether git has the package of a module, but neither the module nor that name in the package."""
    package, _, last = name.rpartition(".")
    directory = PurePosixPath(entry.root) / package.replace(".", "/")
    module = project.modules.get(str(directory / "__init__.py"))
    if (
        not package
        or module is None
        or project.has(directory / f"{last}.py")
        or project.has_directory(directory / last)
    ):
        return False
    classes = {node.name for node in module.nodes if isinstance(node, ast.ClassDef)}
    return last not in {*module.aliases, *module.values, *classes}


def _optional(module: Module) -> set[int]:
    """Return the identities of the nodes of a module that run where a file exists, or whose errors are caught."""
    found: set[int] = set()
    for node in module.nodes:
        guarded = isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in _TESTS)
        if isinstance(node, ast.Try) or guarded:
            found |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    return found


def _file(node: ast.expr, paths: Paths, relative: bool) -> str:
    """Return the file of from_pyfile by its path in the repository; empty for an unknown one, or one outside of it."""
    base = ast.Attribute(ast.Name("app"), "instance_path" if relative else "root_path")
    given = literal(node)
    return paths.inside(ast.Call(ast.Name("join"), [base, node], []) if isinstance(given, str) else node)


def _note_file(project: Project, entry: Entry, module: Module, call: ast.Call, file: str, report: Report) -> None:
    if PurePosixPath(file).suffix not in _SUFFIXES or project.has(file):
        return
    directory, place = str(PurePosixPath(file).parent), module.place(call)
    share(entry, directory, "its configuration", place, project, report)
    shown = entry.relative(file)
    if entry.relative(directory) in report.get("app_shared_directories", []):
        report.note(f"the app does not start without {shown}, which is not in git. {_give(shown)}", place)
    else:
        report.note(
            f"the app does not start without {shown}, which is not in git, and a release is read-only there. Read it from the instance "
            "directory (instance_relative_config=True), or read variables.",
            place,
        )


def _give(file: str) -> str:
    return (
        "The first deploy creates the directory, and stops at the file; then put the file on each host and deploy again: "
        f"sudo install -o NAME -g NAME -m 0640 {PurePosixPath(file).name} /srv/NAME/shared/{file}"
    )
