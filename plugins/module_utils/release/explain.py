"""Known causes of an app's failure, and the setting that fixes each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

# Modules of drivers whose package has another name.
_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "pymysql": "PyMySQL",
    "yaml": "PyYAML",
    "PIL": "Pillow",
    "dotenv": "python-dotenv",
    "cv2": "opencv-python-headless",
    "jwt": "PyJWT",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "magic": "python-magic",
}

# Where an environment variable comes from; \1 is its name.
_VARIABLE = (
    r"Add it to app_environment or app_database_variables, or, when it is secret, store it: "
    r"ansible-playbook playbooks/secrets.yml -e secret_name=\1"
)


def advice(lines: Iterable[str], app: Path) -> str:
    """Return how to fix the first known cause in an app's output, empty for none; `app` is the app's directory in its release."""
    text = "\n".join(lines)
    for pattern, explain in _CAUSES:
        if found := re.search(pattern, text):
            return explain(found, app)
    return ""


def _read_only(found: re.Match[str], app: Path) -> str:
    path = Path(found[1])
    if not path.is_absolute():
        path = app / path
    if not path.is_relative_to(app):
        return f"The app writes to {path}, which it may not. Let it write to a directory of its own that is in app_shared_directories, or to /tmp."
    inside = path.relative_to(app)
    # A file's directory; a name without a suffix is a directory that the app creates.
    directory = inside.parent if inside.suffix and len(inside.parts) > 1 else inside
    return (
        f"The app writes to {inside}, and its files are read-only. Keep what it writes: add the directory to "
        f"app_shared_directories, such as [{directory}]."
    )


def _missing_module(found: re.Match[str], app: Path) -> str:
    top = found[1].partition(".")[0]
    if any((app / name).exists() for name in (f"{top}.py", top, f"src/{top}")):
        return (
            f"The app has no module {found[1]}, although it has {top}. Fix app_entry (module:callable), or the import."
        )
    package = _PACKAGES.get(top, top)
    named = f"the package {package}" if package != top else f"the package that has the module {top}"
    return (
        f"Add {named} to the app's requirements or to app_extra_requirements. "
        "If it is a module of the app, fix app_subdir or app_entry."
    )


def _text(text: str) -> Callable[[re.Match[str], Path], str]:
    return lambda found, _app: found.expand(text)


# In this order: what an app says of a cause comes before what its server says of the consequence.
_CAUSES: tuple[tuple[str, Callable[[re.Match[str], Path], str]], ...] = (
    (r"Read-only file system: '([^'\n]+)'", _read_only),
    (
        r"sqlite3\.OperationalError\)? .*(?:unable to open database file|attempt to write a readonly database)"
        r"|OperationalError: (?:unable to open database file|attempt to write a readonly database)",
        _text("The app's files are read-only. Add the directory of its SQLite database to app_shared_directories."),
    ),
    (
        r"No such file or directory: '(/proc/(?:meminfo|stat|cpuinfo|uptime|loadavg|diskstats|version|net)\b[^']*)'",
        _text(r"The app reads \1, which its sandbox hides. Add proc to app_sandbox_exceptions."),
    ),
    (
        r"LLVM ERROR: Unable to allocate section memory|Failed to (?:reserve|allocate|deoptimize).*[Cc]ode|"
        r"mprotect.*(?:Operation not permitted|EPERM)|(?:Operation not permitted|Cannot allocate).*executable|"
        r"SetPermissions|ffi_prep_closure",
        _text("The app generates machine code, which its sandbox prevents. Add jit to app_sandbox_exceptions."),
    ),
    (r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'", _missing_module),
    (
        r"Failed to find attribute '([^']+)' in '([\w.]+)'",
        _text(
            r"The module \2 has no \1. Fix app_entry (module:callable, or module:factory() for a function that returns the app)."
        ),
    ),
    (
        r"Failed to parse '([^']+)' as an attribute name or function call",
        _text(r"'\1' is not the name of an app. Fix app_entry, such as run:app or shop:create_app()."),
    ),
    (
        r"TypeError: (\w+)\(\) takes 0 positional arguments but 2 were given",
        _text(r"app_entry names the function \1, which creates the app. Add parentheses: \1()."),
    ),
    (
        r"KeyError: '([A-Z][A-Z0-9_]{2,})'",
        _text(rf"The app needs the variable \1. {_VARIABLE}"),
    ),
    (
        r"(?:RuntimeError|ValueError|ImproperlyConfigured|KeyError|Exception): .*?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b"
        r".*(?:not set|required|missing|must|undefined)",
        _text(rf"The app needs \1. If it is an environment variable: {_VARIABLE}"),
    ),
)
