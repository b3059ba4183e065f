"""The causes of a failure that the deploy explains, from the output of real apps."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.release.explain import advice

APP = "/srv/shop/releases/0123456789ab-012345/app"
SHARE, ADD = "app_shared_directories, such as", "app_extra_requirements"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"OSError: [Errno 30] Read-only file system: '{APP}/instance'", f"{SHARE} [instance]."),
        (f"OSError: [Errno 30] Read-only file system: '{APP}/data/cache/x.tmp'", f"{SHARE} [data/cache]."),
        ("OSError: [Errno 30] Read-only file system: '.cache'", f"{SHARE} [.cache]."),
        (
            "OSError: [Errno 30] Read-only file system: '/var/lib/shop'",
            "The app writes to /var/lib/shop, which it may not.",
        ),
        ("sqlite3.OperationalError: unable to open database file", "SQLite database to app_shared_directories"),
        (
            "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) attempt to write a readonly database",
            "SQLite database to app_shared_directories",
        ),
        (
            "ModuleNotFoundError: No module named 'MySQLdb'",
            f"the package mysqlclient to the app's requirements or to {ADD}",
        ),
        ("ModuleNotFoundError: No module named 'psycopg2'", f"psycopg2-binary to the app's requirements or to {ADD}"),
        (
            "ModuleNotFoundError: No module named 'celery'",
            f"has the module celery to the app's requirements or to {ADD}",
        ),
        (
            "ModuleNotFoundError: No module named 'shop.wsgi'",
            "The app has no module shop.wsgi, although it has shop. Fix app_entry",
        ),
        (
            "KeyError: 'SECRET_KEY'",
            "needs the variable SECRET_KEY. Add it to app_environment or app_database_variables, or, when it is secret, store it: "
            "ansible-playbook playbooks/secrets.yml -e secret_name=SECRET_KEY",
        ),
        ("RuntimeError: The environment variable STRIPE_KEY is not set", "The app needs STRIPE_KEY."),
        (
            "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty",
            "The app needs SECRET_KEY.",
        ),
        ("Failed to find attribute 'application' in 'run'.", "The module run has no application. Fix app_entry"),
        ("Failed to parse 'create_app(' as an attribute name or function call.", "Fix app_entry, such as"),
        ("TypeError: create_app() takes 0 positional arguments but 2 were given", "Add parentheses: create_app()."),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/proc/meminfo'",
            "Add proc to app_sandbox_exceptions",
        ),
        ("LLVM ERROR: Unable to allocate section memory!", "Add jit to app_sandbox_exceptions"),
        ("# Fatal error in , line 0\n# Check failed: SetPermissions(...)", "Add jit to app_sandbox_exceptions"),
    ],
)
def test_a_known_cause_is_explained_with_its_setting(tmp_path: Path, line: str, expected: str) -> None:
    app = Path(APP)
    if "shop.wsgi" in line:
        app = tmp_path
        (app / "shop").mkdir()
    assert expected in advice(["Traceback (most recent call last):", '  File "run.py", line 1', line], app)


@pytest.mark.parametrize(
    "line", ["ValueError: no ink left", "KeyError: 'ink'", "", "ImportError: cannot import name 'ink'"]
)
def test_an_unknown_cause_is_not_explained(line: str) -> None:
    assert advice([line], Path(APP)) == ""
