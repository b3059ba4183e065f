"""The app's directory, its entry point and its framework."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from init.apps import ASGI_CLASSES, CONNEXION, CONNEXION_3, App
from init.commands import Server
from init.detect import factories, front_end, versions
from init.hints import Hints
from init.module import Module
from init.project import Project
from init.report import InitError, Place, Report

REQUIREMENTS = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml", "setup.py")
_NAMES = {
    "wsgi": 30,
    "autoapp": 20,
    "run": 14,
    "main": 12,
    "app": 12,
    "application": 12,
    "server": 10,
    "manage": 2,
    "asgi": 8,
}
_FRAMEWORKS = ("Flask", "Django", "FastAPI", "Starlette", "Quart", "Bottle")
# Name of the module that the build writes.
_WRITTEN = "outport_wsgi"
_PROMISING = {"app": 4, "application": 4, "create_app": 4, "make_app": 2}


@dataclass(frozen=True)
class Entry:
    """Where the app is, by paths of the repository ("" for its top): its directory, and the file of its module, which is imported from `root`."""

    subdir: str
    root: str
    path: PurePosixPath
    attribute: str
    framework: str

    @property
    def module(self) -> str:
        """The module's name."""
        path = self.path.parent if self.path.name == "__init__.py" else self.path.with_suffix("")
        return ".".join(path.relative_to(self.root or ".").parts)

    @property
    def asgi(self) -> bool:
        """Whether the app is of an ASGI framework, or in Django's module for it."""
        return self.framework in (*ASGI_CLASSES.values(), CONNEXION_3) or self.path.name == "asgi.py"

    @property
    def flask_app(self) -> str:
        """The value of flask's --app."""
        plain = self.attribute in ("app", "application", "create_app()", "make_app()")
        return self.module if plain else f"{self.module}:{self.attribute.removesuffix('()')}"

    def relative(self, path: PurePosixPath | str) -> str:
        """Return a path of the repository relative to the app's directory."""
        return str(PurePosixPath(path).relative_to(self.subdir or "."))


@dataclass(frozen=True)
class _Candidate:
    app: App
    module: Module
    attribute: str
    score: int
    place: Place
    reason: str


def detect(project: Project, hints: Hints, report: Report, wanted: str = "") -> Entry:
    """Find the entry point, or the file of the one that is wanted. Raises InitError when there is none."""
    run_by = [server for server in hints.servers() if server.entry]
    candidates = sorted(_candidates(project, hints), key=lambda candidate: -candidate.score)
    if wanted:
        entry = _of_text(project, wanted, candidates, "")
        place, reason = None, "as requested"
        if entry is None:
            raise InitError(f"app_entry is '{wanted}', and the repository has no module {wanted.partition(':')[0]}.")
    elif found := next(((s, e) for s in run_by if (e := _of_text(project, s.entry, candidates, s.directory))), None):
        server, entry = found
        place, reason = server.command.place, f"{server.command.program} runs {server.entry}"
    elif candidates:
        best = candidates[0]
        entry = _located(project, best.module.path, best.attribute, best.app.framework)
        place, reason = best.place, best.reason
        others = [c for c in candidates[1:] if c.score > best.score - 12 and c.module.path != best.module.path]
        if others:
            shown = ", ".join(f"{c.place} ({c.attribute})" for c in others[:3])
            report.note(f"app_entry could be another one: {shown}. Choose it with --set app_entry=module:callable.")
        if best.app.server:
            entry = _with_server(project, entry, best, report)
    elif unready := factories.unready(project):
        entry, place, reason = _unwritten(project, unready, report)
    else:
        raise InitError(
            "No app was found: no WSGI or ASGI server in a Procfile, Dockerfile or script, and no Flask, Django, FastAPI, Starlette, Quart, "
            "Bottle, Dash or Connexion app in the Python files. Name it: --set app_entry=module:callable"
            + "".join(f"\n{place} can't be parsed as Python." for place in project.unparsed[:5])
        )
    report.add("app_entry", f"{entry.module}:{entry.attribute}", reason, place)
    report.add("app_subdir", entry.subdir, _why_subdir(project, entry))
    _set_import_path(project, entry, report)
    _set_workers(run_by, entry, report)
    return entry


def _candidates(project: Project, hints: Hints) -> list[_Candidate]:
    flask_app, flask_place = hints.variables.get("FLASK_APP", ("", None))
    found = []
    for module in project.modules.values():
        django = module.path.name == "wsgi.py" and any(app.framework == "Django" for app in module.apps)
        for app in module.apps:
            attribute = factories.attribute(project, module, app)
            if not attribute or (app.framework == "Django" and not django):
                continue
            name = module.path.stem
            score = 40 if app.factory else 60 if app.framework == "" else 50
            score += _NAMES.get(name, 5 if name == "__init__" else 0) + _PROMISING.get(app.attribute, 0)
            score -= 5 * (len(module.path.parts) - 1) - (5 if "src" in module.path.parts else 0)
            # A call of a factory in a repository without a framework is something else.
            if app.framework == "" and not app.factory and not _framework(project, ""):
                continue
            kind = f"{app.framework} app" if app.framework else "app"
            reason = f"{attribute} creates the {kind}" if app.factory else f"{attribute} is the {kind}"
            if django:
                reason, score = "Django's WSGI application", score + 30
            place = app.place
            if flask_app and _matches(module, flask_app):
                score += 100 + (5 if not app.factory else 0)
                place, reason = flask_place or place, f"FLASK_APP={flask_app}, and {app.place} has {attribute}"
            found.append(_Candidate(app, module, attribute, score, place, reason))
    return found


def _with_server(project: Project, entry: Entry, candidate: _Candidate, report: Report) -> Entry:
    """Return the entry of the server that an app has as an attribute: gunicorn takes names and calls only, so the build writes a module."""
    path = PurePosixPath(entry.root) / f"{_WRITTEN}.py"
    text = f"from {entry.module} import {candidate.app.attribute}; server = {entry.attribute}.{candidate.app.server}"
    report.add(
        "app_before_build",
        [f"echo {shlex.quote(text)} > {shlex.quote(entry.relative(path))}"],
        f"gunicorn can't load {entry.attribute}.{candidate.app.server}; a name for it in the app makes this unnecessary",
        candidate.place,
    )
    return replace(entry, path=path, attribute="server")


def _unwritten(project: Project, app: factories.Unready, report: Report) -> tuple[Entry, Place, str]:
    """Return the entry of a module that the user has to write."""
    near = _located(project, app.module.path, app.app.attribute, app.app.framework)
    names = (
        name for name in ("wsgi", "wsgi_app", _WRITTEN) if not project.has(PurePosixPath(near.root) / f"{name}.py")
    )
    path = PurePosixPath(near.root) / f"{next(names, _WRITTEN)}.py"
    entry = replace(near, path=path, attribute="app")
    example = f", such as {app.assignment}" if app.assignment else ""
    report.note(
        f"{app.reason} Write {path} with the same steps at its top level, without a start of a server, and with the app as 'app'{example}. "
        f"Commit it; app_entry is {entry.module}:app.",
        app.app.place,
    )
    return entry, app.app.place, f"{path} is to be written, see the notes of bin/init"


def _matches(module: Module, flask_app: str) -> bool:
    name = re.sub(r"\.py$", "", flask_app.partition(":")[0]).strip("./").replace("/", ".")
    return bool(name) and (module.dotted == name or module.dotted.endswith(f".{name}"))


def _of_text(project: Project, text: str, candidates: list[_Candidate], directory: str) -> Entry | None:
    """Return the entry of a text such as shop.wsgi:app, by the file that it names, nearest to the top."""
    name, _, attribute = text.partition(":")
    path = name.replace(".", "/")
    found = sorted(
        (
            file
            for file in project.files
            if (f"/{file}".endswith((f"/{path}.py", f"/{path}/__init__.py")))
            and (not directory or file.startswith(f"{directory.strip('./')}/"))
        ),
        key=lambda file: (file.count("/"), file),
    )
    if not found:
        return None
    known = [
        c.app for c in candidates if str(c.module.path) == found[0] and c.app.attribute == attribute.partition("(")[0]
    ]
    path_found = PurePosixPath(found[0])
    depth = len(name.split(".")) + (path_found.name == "__init__.py")
    root = str(PurePosixPath(*path_found.parts[:-depth]))
    return _located(
        project, path_found, attribute or "app", known[0].framework if known else "", "" if root == "." else root
    )


def _located(project: Project, path: PurePosixPath, attribute: str, framework: str, root: str | None = None) -> Entry:
    """Return the entry of a file. Its project is the nearest directory above with requirements; `root` is where it is imported from, if known."""
    above = [str(parent) if str(parent) != "." else "" for parent in path.parents]
    has = [top for top in above if has_requirements(project, top)]
    subdir = has[0] if has else project.source.subdir
    # A release is the app's directory, which has to include the front end that the app serves.
    if subdir and _installs_from_text(project, subdir) and front_end.served_from_above(project, subdir):
        subdir = project.source.subdir if project.source.subdir != subdir else ""
    if root is None or not f"{root}/".startswith(f"{subdir}/" if subdir else ""):
        root = _import_root(project, path, subdir)
    framework = framework or _framework(project, subdir)
    if framework == CONNEXION and versions.allows(project, subdir, "connexion", "3"):
        framework = CONNEXION_3
    return Entry(subdir, root, path, attribute, framework)


def _installs_from_text(project: Project, subdir: str) -> bool:
    """Return whether the requirements of a directory can be named from another one: a requirements.txt, and no lock file or package."""
    return next((name for name in REQUIREMENTS if project.has(f"{subdir}/{name}")), "") == "requirements.txt"


def has_requirements(project: Project, top: PurePosixPath | str) -> bool:
    """Return whether a directory has requirements, so that a project may be there."""
    directory = PurePosixPath(top)
    return any(project.has(directory / name) for name in REQUIREMENTS) or project.has_directory(
        directory / "requirements"
    )


def _import_root(project: Project, path: PurePosixPath, subdir: str) -> str:
    """Return the directory that the module is imported from: the highest one below the project whose directories are not packages."""
    directory = path.parent.parent if path.name == "__init__.py" else path.parent
    while str(directory) not in (".", subdir) and project.has(directory / "__init__.py"):
        directory = directory.parent
    return "" if str(directory) == "." else str(directory)


def _framework(project: Project, subdir: str) -> str:
    """Return the framework of the app below a directory: that of an app object, else one that is imported."""
    modules = [module for module in project.modules.values() if not subdir or module.path.is_relative_to(subdir)]
    made = [app.framework for module in modules for app in module.apps if app.framework]
    imported = {name for module in modules for name in module.imported}
    return next((name for name in (*made, *(name for name in _FRAMEWORKS if name.lower() in imported)) if name), "")


def _why_subdir(project: Project, entry: Entry) -> str:
    below = entry.root if entry.root != entry.subdir else ""
    if below and (place := front_end.served_from_above(project, below)):
        return f"{place}: serves a front end that is not in {below}/"
    found = [name for name in REQUIREMENTS if project.has(f"{entry.subdir}/{name}".lstrip("/"))]
    where = f"the directory {entry.subdir}" if entry.subdir else "the top of the repository"
    return f"{where} has {found[0]}" if found else f"{where} has the app"


def _set_import_path(project: Project, entry: Entry, report: Report) -> None:
    """Set PYTHONPATH where the app is imported from a directory of its own, and not installed as a package."""
    relative = entry.relative(entry.root or ".")
    if relative == ".":
        return
    tool = project.toml(f"{entry.subdir}/pyproject.toml".lstrip("/"))
    installed = "build-system" in tool or project.has(f"{entry.subdir}/setup.py".lstrip("/"))
    # Flask's instance directory is next to the imported package, which is read-only when it is installed.
    instance = any(
        "instance_path" in project.text(path) or "instance_relative_config" in project.text(path)
        for path in map(str, project.modules)
    )
    if not (installed and relative == "src") or instance:
        report.add("app_environment", {"PYTHONPATH": relative}, f"the module {entry.module} is in {relative}/")


def server_of(servers: list[Server], entry: Entry) -> Server | None:
    """Return the web server that runs an entry point; None where no command does."""
    return next((server for server in servers if server.entry.startswith(f"{entry.module}:")), None)


def _set_workers(servers: list[Server], entry: Entry, report: Report) -> None:
    server = server_of(servers, entry)
    # A start of Connexion without an ASGI worker is one of its Flask app.
    asgi = (entry.asgi and not (server and entry.framework == CONNEXION_3)) or bool(server and server.asgi)
    if asgi:
        place = server.command.place if server and server.asgi else Place(str(entry.path))
        report.add("gunicorn_worker_class", "asgi", f"{entry.framework or 'the app'} is an ASGI app", place)
    if not server:
        return
    name, place = server.worker_class, server.command.place
    greenlets = not asgi and name in ("gevent", "eventlet", "tornado")
    if greenlets:
        report.add("gunicorn_worker_class", name, f"gunicorn runs with {name}", place)
        report.add("app_extra_requirements", [f"gunicorn[{name}]"], f"for the worker class {name}")
    if server.workers == 1:
        report.add("gunicorn_workers", 1, "the server has one worker, as an app with state in memory needs", place)
    if server.threads and not asgi and not greenlets:
        shown = "1 thread" if server.threads == 1 else f"{server.threads} threads"
        report.add("gunicorn_threads", server.threads, f"{server.command.program} runs with {shown}", place)
    if server.timeout > 30:
        report.add("app_timeout", min(server.timeout, 3600), f"gunicorn's timeout is {server.timeout} s", place)
