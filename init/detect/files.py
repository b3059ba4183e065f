"""Static files that nginx can serve, and directories that the app writes to."""

import ast
import re
from pathlib import PurePosixPath

from init.detect.entry import Entry
from init.hints import Hints
from init.module import Module
from init.paths import Paths, sqlite_file
from init.project import Project
from init.report import Place, Report
from init.syntax import assigned, dotted, literal

_WRITTEN = re.compile(
    r"(?:\w+_)?(?:UPLOADS?|UPLOADED)(?:_\w+)?|MEDIA_ROOT|(?:\w+_)?(?:CACHE|DATA|STORAGE|LOGS?|FILES|SESSION_FILE|EXPORTS?|ATTACHMENTS?|BACKUPS?)_(?:DIR(?:ECTORY)?|FOLD(?:ER)|PATH|ROOT)"
)
_MAKERS = {"makedirs", "mkdir"}
_FILE_HANDLERS = {"FileHandler", "RotatingFileHandler", "TimedRotatingFileHandler", "WatchedFileHandler"}
_DIRECTORY = re.compile(r"(?!(?:.*/)?\.{1,2}(?:/|$))[\w.-]+(?:/[\w.-]+)*")
_CODE = {"templates", "static", "migrations", "app", "src", ""}


def detect(project: Project, entry: Entry, hints: Hints, report: Report) -> None:
    """Set app_static, app_shared_directories, and the report's SQLite file."""
    package = package_of(project, entry)
    _detect_static(project, entry, package, report)
    for path, module in project.modules.items():
        if not entry.subdir or path.startswith(f"{entry.subdir}/"):
            _detect_written(project, entry, module, Paths(module, entry.subdir, package), report)
    for directory, place in hints.directories:
        # Only a name: where the app's directory is in the image is not known for sure.
        if (
            directory
            and _DIRECTORY.fullmatch(directory)
            and project.has_directory(f"{entry.subdir}/{directory}".lstrip("/"))
            and not _is_code(project, f"{entry.subdir}/{directory}".lstrip("/"))
        ):
            share(entry, f"{entry.subdir}/{directory}".lstrip("/"), "a volume", place, project, report)
    _drop_nested(report)


def package_of(project: Project, entry: Entry) -> str:
    """Return the directory of the module that creates the app: Flask's root_path."""
    directory = str(entry.path.parent)
    for path, module in project.modules.items():
        if any(app.framework == "Flask" for app in module.apps) and (
            not entry.subdir or path.startswith(f"{entry.subdir}/")
        ):
            directory = str(module.path.parent)
            if module.path == entry.path or module.path.name == "__init__.py":
                break
    return "" if directory == "." else directory


def _detect_static(project: Project, entry: Entry, package: str, report: Report) -> None:
    if entry.framework == "Django":
        _detect_static_of_django(project, entry, report)
        return
    if entry.framework != "Flask":
        return
    app = next(
        (
            app
            for module in project.modules.values()
            for app in module.apps
            if app.framework == "Flask" and str(module.path.parent) in (package, package or ".")
        ),
        None,
    )
    options = app.options if app else {}
    static = options.get("static_folder", "static")
    if not isinstance(static, str) or not static:
        return
    directory = str(PurePosixPath(package) / static)
    url = options.get("static_url_path") or f"/{PurePosixPath(static).name}"
    if project.has_directory(directory) and re.fullmatch(r"/(?:[\w.-]+/?)+", url) and ".." not in directory:
        report.add(
            "app_static",
            {f"{url.rstrip('/')}/": entry.relative(directory)},
            f"nginx serves Flask's static files at {url}",
            Place(directory),
        )


def _detect_static_of_django(project: Project, entry: Entry, report: Report) -> None:
    for module in project.modules.values():
        paths = Paths(module, entry.subdir, entry.subdir)
        for kind in ("STATIC", "MEDIA"):
            root, url = module.values.get(f"{kind}_ROOT"), literal(module.values.get(f"{kind}_URL"))
            directory = paths.inside(root) if root is not None else ""
            if directory and isinstance(url, str) and re.fullmatch(r"/?(?:[\w.-]+/)+", url):
                report.add(
                    "app_static",
                    {f"/{url.lstrip('/')}": entry.relative(directory)},
                    f"{kind}_URL and {kind}_ROOT",
                    module.place(root),
                )
                if kind == "MEDIA":
                    share(entry, directory, "MEDIA_ROOT", module.place(root), project, report)


def _detect_written(project: Project, entry: Entry, module: Module, paths: Paths, report: Report) -> None:
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "instance_path":
            share(entry, paths.inside(node), "the instance directory", module.place(node), project, report)
        elif isinstance(node, ast.Call):
            _detect_written_by_call(project, entry, module, node, paths, report)
        for name, value in assigned(node):
            if _WRITTEN.fullmatch(name) and (directory := paths.inside(value)):
                share(entry, directory, name, module.place(node), project, report)
            elif (file := sqlite_file(value, paths)) is not None:
                _share_database(entry, module, node, file, paths, project, report)


def _detect_written_by_call(
    project: Project, entry: Entry, module: Module, node: ast.Call, paths: Paths, report: Report
) -> None:
    name = dotted(node.func).rpartition(".")[2] or getattr(node.func, "attr", "")
    place = module.place(node)
    if name in _MAKERS:
        target = (
            node.args[0]
            if node.args and not isinstance(literal(node.args[0]), int)
            else getattr(node.func, "value", None)
        )
        if target is not None and (directory := paths.inside(target)):
            share(entry, directory, "creates it", place, project, report)
    elif name in _FILE_HANDLERS and node.args and (file := paths.inside(node.args[0])):
        share(entry, str(PurePosixPath(file).parent), "writes a log", place, project, report)
    elif name == "connect" and dotted(node.func).startswith("sqlite3") and node.args:
        target = node.args[0]
        # The path may be in the app's configuration, which sets it by a keyword.
        if file := paths.inside(target):
            _share_database(entry, module, node, file, paths, project, report)
    elif name in ("from_mapping", "update"):
        for keyword in node.keywords:
            if keyword.arg in ("DATABASE", "DATABASE_PATH", "DB_PATH", "DB_FILE") and (
                file := paths.inside(keyword.value)
            ):
                _share_database(entry, module, node, file, paths, project, report)


def _share_database(
    entry: Entry, module: Module, node: ast.AST, file: str, paths: Paths, project: Project, report: Report
) -> None:
    """Share the directory of an SQLite database, where the app has no other database."""
    if report.get("database") == "mysql" or not file:
        return
    if "/" not in file and isinstance(node, ast.Assign | ast.keyword | ast.Dict):
        # Flask-SQLAlchemy's relative paths are in the instance directory.
        instance = paths.inside(ast.Attribute(ast.Name("app"), "instance_path"))
        file = f"{instance}/{file}"
    directory = str(PurePosixPath(file).parent)
    if directory in (".", entry.subdir or ".") or _is_code(project, directory):
        report.note(
            f"the database {PurePosixPath(file)} is among the app's files, which are read-only. Move it to a directory of its own, such as instance/",
            module.place(node),
        )
        return
    share(entry, directory, f"the database {PurePosixPath(file).name}", module.place(node), project, report)
    report.sqlite = entry.relative(file)


def share(entry: Entry, directory: str, reason: str, place: Place, project: Project, report: Report) -> None:
    """Share a directory of the repository, unless it is the app's own, has code, or can't be shared."""
    if (
        not directory
        or directory == "."
        or directory == entry.subdir
        or (entry.subdir and not directory.startswith(f"{entry.subdir}/"))
    ):
        return
    relative = entry.relative(directory)
    if (
        not _DIRECTORY.fullmatch(relative)
        or relative in _CODE
        or _is_code(project, directory)
        or (reason == "creates it" and relative in report.get("app_static", {}).values())
    ):
        return
    report.add("app_shared_directories", [relative], f"writes to {relative} ({reason})", place)


def _is_code(project: Project, directory: str) -> bool:
    """Return whether a directory has code or templates, which must change with each release."""
    return any(
        name.startswith(f"{directory}/") and name.endswith((".py", ".html", ".css", ".js")) for name in project.files
    )


def _drop_nested(report: Report) -> None:
    """Keep the outermost of the shared directories."""
    if finding := report.findings.get("app_shared_directories"):
        finding.value = [
            one
            for one in finding.value
            if not any(one != other and f"{one}/".startswith(f"{other}/") for other in finding.value)
        ]
