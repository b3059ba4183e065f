"""The settings that are found for the apps of tests/catalogue, and for the example app."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import catalogue
from support.detection import read, values

from init import cli
from init.settings_check import SPECS, problem

CATALOGUE: dict[str, dict[str, Any]] = {
    "blog": {
        "app_entry": "blog:app",
        "app_setup_commands": ["flask --app blog db upgrade"],
        "app_schema_command": "flask --app blog db current",
        "app_environment": {"REDIS_URL": "redis://127.0.0.1:6379/0", "LOG_TO_STDOUT": "1"},
        "app_generated_secrets": ["SECRET_KEY"],
        "database": "mysql",
        "app_database_variables": {"DATABASE_URL": "sqlalchemy-pymysql"},
        "app_extra_requirements": ["PyMySQL"],
        "app_processes": {"worker": "rq worker -u redis://127.0.0.1:6379/0 blog-tasks"},
        "app_packages": ["redis-server"],
        "app_shared_directories": ["logs"],
        "app_static": {"/static/": "app/static"},
        "app_health_path": "/auth/login",
    },
    "chat": {
        "app_entry": "main:app",
        "gunicorn_worker_class": "asgi",
        "database": "none",
        "app_shared_directories": ["data"],
        "app_health_path": "/",
    },
    "django": {
        "app_entry": "shop.wsgi:application",
        "app_setup_commands": ["python manage.py migrate --noinput"],
        "app_after_build": ["DJANGO_SECRET_KEY=build python manage.py collectstatic --noinput"],
        "app_environment": {
            "ALLOWED_HOSTS": "shop.example.org",
            "CSRF_TRUSTED_ORIGINS": "https://shop.example.org",
            "DJANGO_DEBUG": "0",
        },
        "app_generated_secrets": ["DJANGO_SECRET_KEY"],
        "database": "mysql",
        "app_database_variables": {"DATABASE_URL": "django"},
        "app_extra_requirements": ["mysqlclient"],
        "app_build_packages": ["gcc", "python3-dev", "libmariadb-dev", "pkg-config"],
        "app_packages": ["libmariadb3"],
        "app_shared_directories": ["media"],
        "app_static": {"/static/": "staticfiles", "/media/": "media"},
        "app_health_path": "/",
    },
    "forum": {
        "app_entry": "forum:create_app()",
        "gunicorn_worker_class": "gevent",
        "gunicorn_workers": 1,
        "app_extra_requirements": ["gunicorn[gevent]"],
        "app_timeout": 60,
        "app_setup_commands": ["flask --app forum db upgrade"],
        "app_schema_command": "flask --app forum db current",
        "app_generated_secrets": ["SECRET_KEY"],
        "database": "mysql",
        "app_database_variables": {"DATABASE_URL": "sqlalchemy-pymysql"},
        "app_shared_directories": ["forum/uploads", ".data/cache"],
        "app_static": {"/static/": "forum/static"},
        "app_health_path": "/healthcheck",
    },
    "gallery": {
        "app_entry": "gallery:app",
        "database": "none",
        "app_static": {"/theme/": "theme"},
        "app_health_path": "/",
    },
    "monorepo": {
        "app_entry": "web:app",
        "app_subdir": "services/web",
        "app_generated_secrets": ["FLASK_SECRET_KEY"],
        "database": "none",
        "app_shared_directories": ["uploads"],
        "app_health_path": "/readyz",
    },
    "pets": {
        "app_entry": "pets:app",
        "gunicorn_worker_class": "asgi",
        "app_before_build": [
            "npx --yes yarn@1 --cwd web install --frozen-lockfile",
            "npx --yes yarn@1 --cwd web run build",
        ],
        "app_build_packages": ["nodejs", "npm"],
        "database": "none",
        "app_shared_directories": ["data"],
        "app_health_path": "/",
    },
    "plots": {
        "app_entry": "outport_wsgi:server",
        "app_before_build": [
            "echo 'from app import app; server = app.server' > outport_wsgi.py",
            "npx --yes pnpm@9.15.9 install --frozen-lockfile",
            "npx --yes pnpm@9.15.9 run build",
        ],
        "app_build_packages": ["nodejs", "npm"],
        "database": "none",
        "app_health_path": "/plots/",
    },
    "tutorial": {
        "app_entry": "flaskr:create_app()",
        "app_setup_commands": ["sh -c 'test -s instance/flaskr.sqlite || flask --app flaskr init-db'"],
        "database": "none",
        "app_shared_directories": ["instance"],
        "app_static": {"/static/": "flaskr/static"},
        "app_health_path": "/",
    },
}


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_the_settings_of_an_app_of_each_shape_are_found(name: str, tmp_path: Path) -> None:
    directory = catalogue.create(name, tmp_path)
    report = read(directory / "services/web" if name == "monorepo" else directory)
    assert values(report) == CATALOGUE[name]
    for setting, finding in report.findings.items():
        assert setting not in SPECS or problem(setting, finding.value) == "", setting
        assert str(finding), setting


def test_the_example_app_is_found() -> None:
    """In this repository, with a lab and tests next to it."""
    found = values(read(cli.ROOT))
    lab = yaml.safe_load((cli.ROOT / "inventory/lab/group_vars/all.yml").read_text())
    for name in ("app_entry", "app_subdir", "app_health_path"):
        assert found[name] == lab[name]
    assert found["app_setup_commands"][0] == lab["app_setup_commands"][0]
    assert found["database"] == "mysql"
