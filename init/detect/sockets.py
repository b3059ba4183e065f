"""Socket.IO: an app with it runs in one worker, because that has its clients' sessions in memory."""

import ast
import re
from pathlib import PurePosixPath

from init.detect.entry import Entry, server_of
from init.hints import Hints
from init.project import Project
from init.report import Place, Report
from init.syntax import literal

_SERVERS = {"flask_socketio.SocketIO", "socketio.Server", "socketio.AsyncServer"}
_THREADS = 100
# Those that Flask-SocketIO prefers to threads, in its order, when they are installed.
_PREFERRED = ("eventlet", "gevent")


def detect(project: Project, entry: Entry, hints: Hints, names: set[str], report: Report) -> None:
    """Set one worker, with the threads that WebSockets need."""
    found = _server(project, entry, names)
    if found is None:
        return
    place, options = found
    name = "Flask-SocketIO" if _is_flask(project, names) else "Socket.IO"
    reason = f"{name} keeps its clients' sessions in memory, so every request of a client has to reach the same worker"
    if options.get("message_queue"):
        reason += ", also with a message queue"
    server = server_of(hints.servers(), entry)
    if server and server.workers > 1:
        reason += f", and not one of the {server.workers} that {server.command.place} starts"
    report.add("gunicorn_workers", 1, reason, place)
    _note_own_configuration(project, entry, name, report)
    if report.get("gunicorn_worker_class"):
        return
    mode = options.get("async_mode") or next((one for one in _PREFERRED if one in names), "threading")
    if mode in _PREFERRED and not (server and server.worker_class):
        report.add("gunicorn_worker_class", mode, f"{name} runs with {mode}", place)
        report.add("app_extra_requirements", [f"gunicorn[{mode}]"], f"for the worker class {mode}")
    else:
        report.add("gunicorn_threads", _THREADS, "each WebSocket takes a thread", place)


def _server(project: Project, entry: Entry, names: set[str]) -> tuple[Place | None, dict[str, str]] | None:
    """Return where the app creates a server of Socket.IO, and the options that it has; None for an app without one."""
    options: dict[str, str] = {}
    created: list[Place] = []
    for module in project.modules.values():
        if entry.subdir and not module.path.is_relative_to(entry.subdir):
            continue
        for call in module.calls:
            full = module.full(call.func)
            created += [module.place(call)] if full in _SERVERS else []
            if full in _SERVERS or full.endswith((".init_app", ".RedisManager")):
                given = {
                    k.arg: literal(k.value) or "a value"
                    for k in call.keywords
                    if k.arg and ast.unparse(k.value) != "None"
                }
                options |= {
                    name: given[name] for name in ("message_queue", "client_manager", "async_mode") if name in given
                }
    if "client_manager" in options:
        options["message_queue"] = options["client_manager"]
    imported = any("flask_socketio" in module.imported for module in project.modules.values())
    if not created and not imported and "flask-socketio" not in names:
        return None
    return created[0] if created else None, options


def _is_flask(project: Project, names: set[str]) -> bool:
    return "flask-socketio" in names or any("flask_socketio" in module.imported for module in project.modules.values())


def _note_own_configuration(project: Project, entry: Entry, name: str, report: Report) -> None:
    """Note workers in the app's own gunicorn.conf.py, which takes precedence."""
    path = str(PurePosixPath(entry.subdir) / "gunicorn.conf.py")
    found = re.search(r"(?m)^workers\s*=\s*(?!1\s*(?:#|$)).*", project.text(path))
    if found:
        report.note(
            f"'{found[0]}' takes precedence over gunicorn_workers, and {name} needs one worker: write workers = 1.",
            project.place(path, found[0]),
        )
