"""bin/init: the settings that it finds for apps of many shapes, and what it writes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import catalogue

from init import cli, questions, settings_file
from init.project import Project
from init.report import InitError, Report
from init.settings_check import SPECS, problem
from init.source import opened

Detect = Callable[..., Report]


def read(directory: Path, **given: Any) -> Report:
    """Return what is found in a repository."""
    report = Report()
    with opened(str(directory), "", "", report) as source:
        cli.read(Project(source), given, "shop.example.org", report)
    return report


def values(report: Report) -> dict[str, Any]:
    """Return the settings that were found, without those that are none."""
    return {name: finding.value for name, finding in report.findings.items() if finding.value not in ("", [], {})}


@pytest.fixture
def detect(tmp_path: Path) -> Detect:
    """Return a function that reads an app with the given files (contents by path)."""

    def detect(files: dict[str, str], **given: Any) -> Report:
        for name, text in files.items():
            path = tmp_path / "app" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        catalogue.run(tmp_path / "app", "git", "init", "--quiet", "--initial-branch=main")
        catalogue.commit(tmp_path / "app", "Add the app")
        return read(tmp_path / "app", **given)

    return detect


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


FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"
ENTRIES = {
    "application.py": ({"application.py": FLASK.replace("app =", "application =")}, "application:application", ""),
    "wsgi.py of a factory": (
        {
            "shop/__init__.py": "from flask import Flask\ndef create_app(name):\n    return Flask(name)\n",
            "wsgi.py": "from shop import create_app\napp = create_app('production')\n",
        },
        "wsgi:app",
        "",
    ),
    "src layout": (
        {
            "src/shop/__init__.py": FLASK,
            "pyproject.toml": "[build-system]\nrequires = []\n[project]\nname = 'shop'\nversion = '1'\n",
        },
        "shop:app",
        "",
    ),
    "a directory of the repository": (
        {"backend/app.py": FLASK, "backend/requirements.txt": "flask\n", "web/package.json": "{}"},
        "app:app",
        "backend",
    ),
    "tests and examples next to it": (
        {"shop.py": FLASK, "tests/app.py": FLASK, "examples/app.py": FLASK},
        "shop:app",
        "",
    ),
    "a subclass": (
        {"site.py": "from flask import Flask\nclass Shop(Flask):\n    pass\nshop = Shop(__name__)\n"},
        "site:shop",
        "",
    ),
    "FLASK_APP": ({"one.py": FLASK, "two.py": FLASK, ".flaskenv": "FLASK_APP=two.py\n"}, "two:app", ""),
    "a Procfile with a module": (
        {"Procfile": "web: gunicorn -w 4 -b :$PORT shop.web\n", "shop/web.py": FLASK.replace("app =", "application =")},
        "shop.web:application",
        "",
    ),
    "a Dockerfile": (
        {
            "Dockerfile": 'FROM python\nWORKDIR /srv\nCMD ["poetry", "run", "gunicorn", "--bind=0.0.0.0:80", "-k", "gthread", "shop:make(1)"]\n',
            "shop.py": "def make(n):\n    pass\n",
        },
        "shop:make(1)",
        "",
    ),
    "Docker Compose": (
        {
            "compose.yaml": "services:\n  web:\n    build: .\n    command: python -m gunicorn shop:app\n",
            "shop.py": FLASK,
            "app.py": FLASK,
        },
        "shop:app",
        "",
    ),
    "uwsgi": (
        {"run.sh": "#!/bin/sh\nuwsgi --http :80 --module shop:app\n", "shop.py": FLASK, "app.py": FLASK},
        "shop:app",
        "",
    ),
    "no syntax of this Python": ({"old.py": "print 'hello'\n", "app.py": FLASK}, "app:app", ""),
}


@pytest.mark.parametrize("shape", ENTRIES)
def test_the_entry_point_is_found(detect: Detect, shape: str) -> None:
    files, entry, subdir = ENTRIES[shape]
    has_requirements = any(name.endswith(("requirements.txt", "pyproject.toml")) for name in files)
    report = detect(files if has_requirements else {**files, "requirements.txt": "flask\n"})
    assert (report.get("app_entry"), report.get("app_subdir")) == (entry, subdir)


CONNEXION = (
    "import connexion\napp = connexion.FlaskApp(__name__, specification_dir='spec')\napp.add_api('openapi.yaml')\n"
)
OPENAPI = "openapi: 3.0.0\nservers: [{url: /v1}]\npaths:\n  /pets/{id}: {get: {}}\n  /pets: {get: {security: [{key: []}]}}\n  /health: {get: {}}\n"
# Apps of Dash and Connexion, with what is found.
NOT_FLASK: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Dash with a name for its server": (
        {"app.py": "import dash\napp = dash.Dash(__name__)\nserver = app.server\n"},
        {"app_entry": "app:server", "app_before_build": None, "app_health_path": "/"},
    ),
    "Dash without one": (
        {"src/index.py": "from dash import Dash\napp = Dash(__name__, url_base_pathname='/plots/')\n"},
        {
            "app_entry": "outport_wsgi:server",
            "app_environment": {"PYTHONPATH": "src"},
            "app_before_build": ["echo 'from index import app; server = app.server' > src/outport_wsgi.py"],
            "app_health_path": "/plots/",
        },
    ),
    "a function that creates Dash": (
        {"shop/__init__.py": "from dash import Dash\ndef create_app():\n    app = Dash(__name__)\n    return app\n"},
        {
            "app_entry": "outport_wsgi:server",
            "app_before_build": ["echo 'from shop import create_app; server = create_app().server' > outport_wsgi.py"],
        },
    ),
    "a function that returns Dash's server": (
        {"shop.py": "from dash import Dash\ndef create_app():\n    app = Dash(__name__)\n    return app.server\n"},
        {"app_entry": "shop:create_app()", "app_before_build": None},
    ),
    "Dash in a Flask app": (
        {
            "app.py": f"from dash import Dash\n{FLASK}dash_app = Dash(__name__, server=app, url_base_pathname='/plots/')\n"
        },
        {"app_entry": "app:app", "app_before_build": None},
    ),
    "Connexion 3": (
        {"run.py": CONNEXION, "spec/openapi.yaml": OPENAPI, "requirements.txt": "connexion[flask,uvicorn]>=3\n"},
        {"app_entry": "run:app", "gunicorn_worker_class": "asgi", "app_health_path": "/v1/health"},
    ),
    "Connexion 2": (
        {"run.py": CONNEXION, "spec/openapi.yaml": OPENAPI, "requirements.txt": "connexion[swagger-ui]==2.14.2\n"},
        {"app_entry": "run:app", "gunicorn_worker_class": None, "app_health_path": "/v1/health"},
    ),
    "Connexion below 3": (
        {"run.py": CONNEXION, "requirements.txt": "flask\nconnexion >= 2.6, < 3  # later\n"},
        {"app_entry": "run:app", "gunicorn_worker_class": None},
    ),
    "Connexion in a lock file": (
        {
            "run.py": CONNEXION,
            "poetry.lock": '[[package]]\nname = "connexion"\nversion = "2.14.2"\n',
            "pyproject.toml": "[tool.poetry.dependencies]\nconnexion = '>=2'\n",
        },
        {"app_entry": "run:app", "gunicorn_worker_class": None},
    ),
    "the Flask app of Connexion 3, by its own start": (
        {"run.py": f"{CONNEXION}flask_app = app.app\n", "Procfile": "web: gunicorn run:flask_app\n"},
        {"app_entry": "run:flask_app", "gunicorn_worker_class": None},
    ),
    "an App of another package": (
        {"cli.py": "from textual.app import App\nimport connexion_x\nApp()\n", "app.py": FLASK},
        {"app_entry": "app:app"},
    ),
}


@pytest.mark.parametrize("shape", NOT_FLASK)
def test_apps_of_dash_and_connexion_are_found(detect: Detect, shape: str) -> None:
    files, expected = NOT_FLASK[shape]
    report = detect({"requirements.txt": "dash\nconnexion\n", **files})
    assert {name: report.get(name) for name in expected} == expected
    assert problem("app_entry", report.get("app_entry")) == ""


FACTORY = "from flask import Flask\ndef create_app({}):\n    app = Flask(__name__)\n    return app\n"
LATE = "from flask import Flask\napp = Flask(__name__)\n{}({}):\n    @app.route('/')\n    def home():\n        return ''\n    return app\n"
# Apps that a call completes, with the entry and the start of the note about it.
FACTORIES = {
    "an object that a function completes": (
        {"shop.py": LATE.format("def shop_app", "config=None")},
        "shop:shop_app()",
        "",
    ),
    "one that is completed when it is imported": (
        {"shop.py": LATE.format("def add_routes", "") + "add_routes()\n"},
        "shop:app",
        "",
    ),
    "one with routes in another module": (
        {
            "shop.py": LATE.format("def more", ""),
            "views.py": "from shop import app\n@app.route('/x')\ndef x():\n    return ''\n",
        },
        "shop:app",
        "",
    ),
    "a function that needs an object of its caller": (
        {
            "shop/web.py": LATE.format("def shop_app", "config=None, store=None")
            + "csrf = CSRFProtect()\ncsrf.init_app(app)\napi = Api(app)\n@app.template_filter('x')\ndef x():\n    return ''\n",
            "shop/__init__.py": "from shop.web import shop_app\ndef main():\n    store = db.Store()\n    app = shop_app({}, store)\n    app.run()\n",
        },
        "wsgi:app",
        "shop/web.py:3: shop_app(config, store) creates the app, and a server can't give its arguments. shop/__init__.py:4 calls it: "
        "shop_app({}, store). Write wsgi.py with the same steps at its top level, without a start of a server, and with the app as "
        "'app', such as app = shop_app({}, store). Commit it; app_entry is wsgi:app.",
    ),
    "an object that its caller completes": (
        {
            "shop/__init__.py": "from flask import Flask\napp = Flask(__name__)\ndef create_app():\n    login.init_app(app)\n    return app\n",
            "shop/main.py": "from . import create_app\ndef main():\n    app = create_app()\n    app.register_blueprint(web)\n    server.start()\n",
        },
        "wsgi:app",
        "shop/__init__.py:2: app has no routes before main() (shop/main.py:2) adds them, and a server does not call that. Write wsgi.py with",
    ),
    "one that is passed to a function": (
        {
            "shop.py": f"import routes\n{FLASK}routes.init_app(app)\n",
            "routes.py": "import shop\ndef init_app(app):\n    app.register_blueprint(web)\ndef other():\n    shop.app.route('/x')(x)\n",
        },
        "shop:app",
        "",
    ),
    "a factory that a package passes on": (
        {
            "shop/__init__.py": "from shop.web import create_app\n",
            "shop/web.py": FACTORY.format("name"),
            "run.py": "from shop import create_app\nif __name__ == '__main__':\n    create_app('production').run()\n",
        },
        "shop.web:create_app('production')",
        "",
    ),
    "a configuration that its caller creates": (
        {
            "shop.py": FACTORY.format("config=None"),
            "cli.py": "from shop import create_app\ndef main():\n    create_app(Config()).run()\n",
        },
        "shop:create_app()",
        "",
    ),
    "an argument that the repository gives": (
        {
            "shop.py": FACTORY.format("name"),
            "dev.py": "from shop import create_app\nif __name__ == '__main__':\n    create_app('development').run()\n",
            "main.py": "from shop import create_app\nif __name__ == '__main__':\n    create_app(name='production').run()\n",
        },
        "shop:create_app(name='production')",
        "",
    ),
    "an argument that nothing gives": (
        {"shop.py": FACTORY.format("name"), "wsgi.py": ""},
        "wsgi_app:app",
        "shop.py:2: create_app(name) creates the app, and a server can't give its arguments. Write wsgi_app.py with",
    ),
    "a function that runs the app": (
        {
            "shop/__init__.py": "",
            "shop/__main__.py": "import connexion\ndef main():\n    app = connexion.App(__name__)\n    app.run()\n",
        },
        "wsgi:app",
        "shop/__main__.py:2: main() creates the app and does not return it, so no server can load it. Write wsgi.py with",
    ),
}


@pytest.mark.parametrize("shape", FACTORIES)
def test_an_app_that_needs_a_call_gets_one_or_a_note(detect: Detect, shape: str) -> None:
    files, entry, start = FACTORIES[shape]
    report = detect({"requirements.txt": "flask\n", **files})
    assert report.get("app_entry") == entry
    assert problem("app_entry", entry) == ""
    notes = [note for note in report.notes if "app_entry is" in note]
    assert [note[: len(start)] for note in notes] == ([start] if start else [])


def test_a_package_that_is_not_installed_is_imported_from_its_directory(detect: Detect) -> None:
    report = detect({"src/shop/__init__.py": FLASK, "requirements.txt": "flask\n"})
    assert report.get("app_entry") == "shop:app"
    assert report.get("app_environment") == {"PYTHONPATH": "src"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": "", "requirements.txt": ""}, "No app was found.*--set app_entry=module:callable"),
        ({"app.py": FLASK}, "The app has none of uv.lock"),
        ({"app.py": FLASK, "Pipfile.lock": "{}"}, "pipenv requirements > requirements.txt"),
    ],
)
def test_an_app_that_cannot_be_deployed_is_refused(detect: Detect, files: dict[str, str], message: str) -> None:
    with pytest.raises(InitError, match=message):
        detect(files)


REQUIREMENTS = {
    "requirements/prod.txt": (
        {"requirements/prod.txt": "-r base.txt\n", "requirements/base.txt": "flask\npsycopg2\n"},
        {"app_requirements": "requirements/prod.txt", "app_packages": ["libpq5"]},
    ),
    "a driver that the image installs": (
        {
            "requirements.txt": "flask\n",
            "Dockerfile": "FROM python:3.13\nRUN pip install -r requirements.txt && pip install gunicorn pymysql\n",
        },
        {"app_extra_requirements": ["pymysql"]},
    ),
    "an older Python": (
        {"pyproject.toml": "[project]\nname='a'\nversion='1'\nrequires-python = '>=3.9,<3.12'\n"},
        {"web_image_name": "debian-12-amd64-*"},
    ),
    "a certain Python": (
        {"pyproject.toml": "[project]\nname='a'\nversion='1'\nrequires-python = '~=3.12.0'\n"},
        {"app_python": "3.12"},
    ),
    "a Python of Poetry": (
        {"poetry.lock": "", "pyproject.toml": "[tool.poetry.dependencies]\npython = '~3.12'\n"},
        {"app_python": "3.12"},
    ),
    "two constraints": (
        {
            "poetry.lock": "",
            "pyproject.toml": "[project]\nname='a'\nversion='1'\nrequires-python='>=3.8'\n[tool.poetry.dependencies]\npython='<3.12'\n",
        },
        {"web_image_name": "debian-12-amd64-*"},
    ),
    "values of other types": (
        {"requirements.txt": "", "pyproject.toml": "[tool]\npoetry = 5\n[project]\ndependencies = 'x'\n"},
        {"app_python": None},
    ),
    "any Python": (
        {"pyproject.toml": "[project]\nname='a'\nversion='1'\nrequires-python = '>=3.9'\n"},
        {"app_python": None, "web_image_name": None},
    ),
    "tools only": (
        {"pyproject.toml": "[tool.ruff]\n", "requirements/production.txt": "flask\n"},
        {"app_requirements": "requirements/production.txt"},
    ),
    "a group": (
        {
            "uv.lock": "",
            "pyproject.toml": "[project]\nname='a'\nversion='1'\n[dependency-groups]\nprod = ['gunicorn']\ndev = []\n",
        },
        {"app_groups": ["prod"]},
    ),
    "system libraries": (
        {"requirements.txt": "mysqlclient==2.2.7\npython-magic  # types\n"},
        {
            "app_packages": ["libmariadb3", "libmagic1"],
            "app_build_packages": ["gcc", "python3-dev", "libmariadb-dev", "pkg-config"],
        },
    ),
}


@pytest.mark.parametrize("shape", REQUIREMENTS)
def test_requirements_are_found(detect: Detect, shape: str) -> None:
    files, expected = REQUIREMENTS[shape]
    report = detect({"app.py": FLASK, **files})
    assert {name: report.get(name) for name in expected} == expected


def settings(code: str) -> dict[str, str]:
    """The files of an app with a module of settings."""
    return {"app.py": FLASK, "config.py": code, "requirements.txt": "flask\nsqlalchemy\nredis\n"}


VARIABLES = {
    "separate parts": (
        "import os\nHOST = os.environ['DB_HOST']\nUSER = os.getenv('DB_USER')\nPASSWORD = os.getenv('DB_PASSWORD')\nNAME = os.getenv('DB_NAME')\n",
        {
            "app_database_variables": {
                "DB_HOST": "{host}",
                "DB_NAME": "{dbname}",
                "DB_PASSWORD": "{password}",
                "DB_USER": "{username}",
            },
            "database": "mysql",
        },
    ),
    "a database for tests": (
        "import os\nA = os.environ.get('TEST_DATABASE_URL')\nB = os.environ.get('DEV_DATABASE_URL')\nC = os.environ.get('DATABASE_URL')\n",
        {"app_database_variables": {"DATABASE_URL": "sqlalchemy-pymysql"}},
    ),
    "a reader of its own": ("DEBUG = envbool('DEBUG', 'True')\n", {"app_environment": {"DEBUG": "0"}}),
    "a host alone is no database": ("import os\nHOST = os.environ.get('DB_HOST')\n", {"database": "none"}),
    "from os import environ": (
        "from os import environ as e\nURL = e['SQLALCHEMY_DATABASE_URI']\n",
        {"app_database_variables": {"SQLALCHEMY_DATABASE_URI": "sqlalchemy-pymysql"}},
    ),
    "django-environ": (
        "import environ\nenv = environ.Env()\nKEY = env('APP_KEY_SALT', default='')\nS = env.str('JWT_SECRET_KEY')\n",
        {"app_generated_secrets": ["JWT_SECRET_KEY"]},
    ),
    "decouple": ("from decouple import config\nK = config('SECRET_KEY')\n", {"app_generated_secrets": ["SECRET_KEY"]}),
    "pydantic": (
        "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    secret_key: str\n    database_url: str = ''\n",
        {"app_generated_secrets": ["SECRET_KEY"], "app_database_variables": {"DATABASE_URL": "sqlalchemy-pymysql"}},
    ),
    "a prefix": ("app.config.from_prefixed_env('SHOP')\n", {"app_generated_secrets": ["SHOP_SECRET_KEY"]}),
    "a secret of another service": (
        "import os\nA = os.environ['STRIPE_SECRET_KEY']\nB = os.environ['GITHUB_CLIENT_SECRET']\n",
        {"app_generated_secrets": None},
    ),
    "Redis elsewhere": (
        "import os\nR = os.environ.get('CELERY_BROKER_URL', 'redis://redis:6379/1')\n",
        {"app_environment": {"CELERY_BROKER_URL": "redis://127.0.0.1:6379/0"}, "app_packages": ["redis-server"]},
    ),
    "Redis here": (
        "import os\nR = os.environ.get('REDIS_URL', 'redis://localhost:6379')\n",
        {"app_environment": None, "app_packages": ["redis-server"]},
    ),
}


@pytest.mark.parametrize("shape", VARIABLES)
def test_variables_are_found(detect: Detect, shape: str) -> None:
    code, expected = VARIABLES[shape]
    report = detect(settings(code))
    assert {name: report.get(name) for name in expected} == expected


def test_a_variable_without_a_default_is_left_to_the_user(detect: Detect) -> None:
    code = (
        "import os\nA = os.environ['STRIPE_SECRET_KEY']\nB = os.environ.get('MAIL_SERVER')\n"
        "try:\n    C = os.environ['MAYBE']\nexcept KeyError:\n    C = ''\n"
    )
    report = detect(settings(code))
    assert [note for note in report.notes if "STRIPE_SECRET_KEY" in note] == [
        "config.py:2: STRIPE_SECRET_KEY has no default. Add it to app_environment, or, when it is secret, store it after "
        "playbooks/provision.yml: ansible-playbook playbooks/secrets.yml -e secret_name=STRIPE_SECRET_KEY"
    ]
    assert not [note for note in report.notes if "MAIL_SERVER" in note or "MAYBE" in note]


PARTS = "import os\nPASSWORD = os.environ.get('DB_PASSWORD')\n"
# Code that selects a database by a variable, with the variable's value for MySQL; None where it can't be read.
SELECTIONS: dict[str, tuple[str, dict[str, str] | None]] = {
    "a comparison": ("if os.getenv('DB') == 'mysql':\n    pass\n", {"DB": "mysql"}),
    "a variable": (
        "KIND = os.environ.get('DATABASE_TYPE', 'sqlite').lower()\nif KIND in ('mysql', 'mariadb'):\n    pass\n",
        {"DATABASE_TYPE": "mysql"},
    ),
    "a table": ("URLS = {'sqlite': 's', 'MySQL': 'm'}\nURL = URLS[os.environ['DB_ENGINE']]\n", {"DB_ENGINE": "MySQL"}),
    "match": ("match os.environ['DB_TYPE']:\n    case 'mariadb' | 'postgres':\n        pass\n", {"DB_TYPE": "mariadb"}),
    "the scheme of a URL": (
        "D = os.getenv('DATABASE_DIALECT')\nURL = f'{D}://{PASSWORD}'\n",
        {"DATABASE_DIALECT": "mysql+pymysql"},
    ),
    "a format": ("URL = '{}://u:{}'.format(os.getenv('DB_DRIVER'), PASSWORD)\n", {"DB_DRIVER": "mysql+pymysql"}),
    "MySQL by default": ("if os.getenv('DB_TYPE', 'mysql') == 'mysql':\n    pass\n", None),
    "a name that is no selection": ("DB = os.getenv('DB')\n", None),
}


@pytest.mark.parametrize("shape", SELECTIONS)
def test_a_variable_that_selects_the_database_selects_mysql(detect: Detect, shape: str) -> None:
    code, expected = SELECTIONS[shape]
    report = detect(settings(PARTS + code))
    assert report.get("database") == "mysql"
    assert report.get("app_environment") == expected
    assert not [note for note in report.notes if "selects the database" in note]


def test_django_gets_the_engine_of_mysql(detect: Detect) -> None:
    code = (
        f"{PARTS}DATABASES = {{'default': {{'ENGINE': os.environ.get('DB_ENGINE', 'django.db.backends.sqlite3')}}}}\n"
    )
    report = detect(settings(code) | {"requirements.txt": "django\nflask\n"})
    assert report.get("app_environment") == {"DB_ENGINE": "django.db.backends.mysql"}


def test_a_selection_that_cannot_be_read_is_left_to_the_user(detect: Detect) -> None:
    report = detect(settings(f"{PARTS}if os.getenv('DB_TYPE') == 'pg':\n    pass\n"))
    assert (
        "config.py:3: DB_TYPE selects the database, and its value for MySQL can't be read from the code. The code has pg. Add it to "
        "app_environment, such as {DB_TYPE: mysql}." in report.notes
    )
    assert report.get("app_environment") is None


# Reads of configuration files, with the shared directories and the start of the note.
CONFIG_FILES = {
    "in the instance directory": (
        "app = Flask(__name__, instance_relative_config=True)\napp.config.from_pyfile('config.py')\n",
        ["instance"],
        "shop/__init__.py:3: the app does not start without instance/config.py, which is not in git. The first deploy creates the directory, "
        "and stops at the file; then put the file on each host and deploy again: "
        "sudo install -o NAME -g NAME -m 0640 config.py /srv/NAME/shared/instance/config.py",
    ),
    "by a path": (
        "import os\napp = Flask(__name__)\napp.config.from_pyfile(os.path.join(app.instance_path, 'prod.cfg'))\n",
        ["instance"],
        "shop/__init__.py:4: the app does not start without instance/prod.cfg,",
    ),
    "next to the code": (
        "app = Flask(__name__)\napp.config.from_pyfile('local.cfg')\n",
        None,
        "shop/__init__.py:3: the app does not start without shop/local.cfg, which is not in git, and a release is read-only there.",
    ),
    "in git": ("app = Flask(__name__)\napp.config.from_pyfile('default.cfg')\n", None, ""),
    "where it exists": (
        "import os\napp = Flask(__name__, instance_relative_config=True)\nif os.path.exists('x'):\n    app.config.from_pyfile('config.py')\n",
        None,
        "",
    ),
    "silently": ("app = Flask(__name__)\napp.config.from_pyfile('local.cfg', silent=True)\n", None, ""),
    "of a factory": (
        "def create_app(config):\n    app = Flask(__name__)\n    app.config.from_pyfile(config)\n    return app\n"
        "app = create_app('prod.cfg')\n",
        None,
        "shop/__init__.py:6: the app does not start without prod.cfg, which is not in git, and a release is read-only there.",
    ),
    "a module": (
        "app = Flask(__name__)\napp.config.from_object('shop.production')\napp.config.from_object('shop.app')\n",
        None,
        "shop/__init__.py:3: the app reads its configuration from the module shop.production, which is not in git.",
    ),
    "where a variable names it": (
        "import os\napp = Flask(__name__)\nif 'SHOP' in os.environ:\n    app.config.from_envvar('SHOP')\n",
        None,
        "",
    ),
    "by a variable": (
        "app = Flask(__name__)\napp.config.from_envvar('SHOP_SETTINGS')\n",
        None,
        "shop/__init__.py:3: SHOP_SETTINGS names a configuration file, and the app does not start without it. Add a shared directory, such as "
        "instance, to app_shared_directories, and the file's path to app_environment: {SHOP_SETTINGS: /srv/NAME/shared/instance/settings.cfg}.",
    ),
}


@pytest.mark.parametrize("shape", CONFIG_FILES)
def test_a_configuration_file_that_is_not_in_git_is_noted(detect: Detect, shape: str) -> None:
    code, shared, start = CONFIG_FILES[shape]
    files = {
        "shop/__init__.py": f"from flask import Flask\n{code}",
        "shop/default.cfg": "",
        "requirements.txt": "flask\n",
    }
    report = detect(files)
    assert report.get("app_shared_directories") == shared
    notes = [note for note in report.notes if "not in git" in note or "does not start without" in note]
    assert [note[: len(start)] for note in notes] == ([start] if start else [])


def test_a_secret_key_in_the_code_is_reported(detect: Detect) -> None:
    report = detect({"app.py": f"{FLASK}app.secret_key = 'dev'\n", "requirements.txt": "flask\n"})
    assert (
        "app.py:4: the secret key is 'dev', which is no secret. Read it from a variable: os.environ['SECRET_KEY']"
        in report.notes
    )


WRITES = {
    "os.path.join with the file's directory": (
        "import os\nHERE = os.path.abspath(os.path.dirname(__file__))\napp.config['UPLOAD_FOLDER'] = os.path.join(HERE, 'static', 'uploads')\n",
        ["static/uploads"],
    ),
    "pathlib": (
        "from pathlib import Path\nDATA_DIR = Path(__file__).resolve().parent / 'var' / 'data'\n",
        ["var/data"],
    ),
    "a relative path": ("import os\nos.makedirs('exports', exist_ok=True)\n", ["exports"]),
    "a variable's default": ("import os\nUPLOAD_DIR = os.environ.get('UPLOAD_DIR', 'files')\n", ["files"]),
    "root_path": ("import os\nUPLOADS = os.path.join(app.root_path, 'uploads')\n", ["uploads"]),
    "an f-string": ("import os\nHERE = os.path.dirname(__file__)\nCACHE_DIR = f'{HERE}/cache'\n", ["cache"]),
    "a log": ("from logging.handlers import RotatingFileHandler\nRotatingFileHandler('logs/app.log')\n", ["logs"]),
    "SQLite of Flask-SQLAlchemy": ("app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///shop.db'\n", ["instance"]),
    "sqlite3": ("import sqlite3\nsqlite3.connect('data/shop.db')\n", ["data"]),
    "the instance directory": ("import os\nos.makedirs(app.instance_path)\n", ["instance"]),
    "SQLite in memory": ("app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///:memory:'\n", None),
    "one inside another": ("import os\nos.makedirs('data')\nos.makedirs('data/cache')\n", ["data"]),
    "somewhere else": (
        "import os\nos.makedirs('/var/lib/shop')\nUPLOAD_FOLDER = '/tmp/uploads'\nos.makedirs('../x')\n",
        None,
    ),
    "code": ("import os\nUPLOAD_FOLDER = os.path.join(app.root_path, 'shop')\n", None),
}


@pytest.mark.parametrize("shape", WRITES)
def test_directories_that_the_app_writes_to_are_found(detect: Detect, shape: str) -> None:
    code, expected = WRITES[shape]
    report = detect({"app.py": FLASK + code, "shop/page.html": "", "requirements.txt": "flask\n"})
    assert report.get("app_shared_directories") == expected


HEALTH = {
    "its own": (
        "@app.get('/')\ndef home():\n    return ''\n\n@app.route('/healthz')\ndef check():\n    return ''\n",
        "/healthz",
    ),
    "a page": ("@app.route('/')\ndef home():\n    return ''\n", "/"),
    "a login": (
        "@app.route('/')\n@login_required\ndef home():\n    return ''\n\n@app.route('/account/login')\ndef login():\n    return ''\n",
        "/account/login",
    ),
    "the shortest of its pages": ("@app.get('/api/tags')\ndef tags():\n    return ''\n", "/api/tags"),
    "of POST only": ("@app.post('/status')\ndef status():\n    return ''\n", "/"),
    "with a variable part": ("@app.get('/health/<name>')\ndef status(name):\n    return ''\n", "/"),
}


@pytest.mark.parametrize("shape", HEALTH)
def test_the_path_of_the_health_check_is_found(detect: Detect, shape: str) -> None:
    code, expected = HEALTH[shape]
    report = detect({"app.py": FLASK + code, "requirements.txt": "flask\n"})
    assert report.get("app_health_path") == expected


def test_the_health_check_of_an_image_that_ends_at_a_login_is_not_taken(detect: Detect) -> None:
    code = "@app.route('/')\n@login_required\ndef home():\n    return ''\n\n@app.get('/ping')\ndef ping():\n    return ''\n"
    dockerfile = "FROM python:3.13\nHEALTHCHECK CMD curl --location http://localhost:8000/\n"
    report = detect({"app.py": FLASK + code, "requirements.txt": "flask\n", "Dockerfile": dockerfile})
    assert report.get("app_health_path") == "/ping"


def test_a_database_among_the_files_of_the_app_is_noted(detect: Detect) -> None:
    code = "import os\nHERE = os.path.abspath(os.path.dirname(__file__))\nSQLALCHEMY_DATABASE_URI = 'sqlite:///' + os.path.join(HERE, 'app.db')\n"
    report = detect(settings(code))
    assert report.get("app_shared_directories") is None
    assert (
        "config.py:3: the database app.db is among the app's files, which are read-only. Move it to a directory of its own, such as instance/"
        in (report.notes)
    )


def test_assets_that_an_image_builds_are_built(detect: Detect) -> None:
    dockerfile = "FROM python:3.13\nRUN yarn install --production && flask assets build\n"
    report = detect({"app.py": FLASK, "requirements.txt": "flask\n", "package.json": "{}", "Dockerfile": dockerfile})
    assert report.get("app_after_build") == ["flask --app app assets build"]
    assert [
        note
        for note in report.notes
        if note.startswith("Dockerfile:2: the image runs 'yarn install --production', for packages")
    ]


def test_a_front_end_is_built(detect: Detect) -> None:
    report = detect(
        {
            "app.py": FLASK,
            "requirements.txt": "",
            "package.json": '{"scripts": {"test": "x", "build": "vite build"}}',
            "package-lock.json": "",
        }
    )
    assert report.get("app_before_build") == ["npm ci", "npm run build"]
    assert report.get("app_build_packages") == ["nodejs", "npm"]


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        (
            {"yarn.lock": "# yarn lockfile v1\n"},
            ["npx --yes yarn@1 --cwd web install --frozen-lockfile", "npx --yes yarn@1 --cwd web run build"],
        ),
        (
            {"yarn.lock": "__metadata:\n  version: 8\n", ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-4.5.0.cjs\n"},
            [
                "npx --yes --package @yarnpkg/cli-dist@4.5.0 yarn --cwd web install --immutable",
                "npx --yes --package @yarnpkg/cli-dist@4.5.0 yarn --cwd web run build",
            ],
        ),
        (
            {"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"},
            ["npx --yes pnpm@8 --dir web install --frozen-lockfile", "npx --yes pnpm@8 --dir web run build"],
        ),
        (
            {
                "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
                "package.json": '{"packageManager": "pnpm@10.1.0+sha512.0123", "scripts": {"build": "vite build"}}',
            },
            ["npx --yes pnpm@10.1.0 --dir web install --frozen-lockfile", "npx --yes pnpm@10.1.0 --dir web run build"],
        ),
    ],
)
def test_a_front_end_is_built_with_its_own_package_manager(
    detect: Detect, files: dict[str, str], commands: list[str]
) -> None:
    app = "from flask import Flask\napp = Flask(__name__, static_folder='web/dist')\n"
    front_end = {f"web/{name}": content for name, content in ({"package.json": SPA} | files).items()}
    report = detect({"app.py": app, "requirements.txt": "flask\n"} | front_end)
    assert report.get("app_before_build") == commands
    assert report.get("app_build_packages") == ["nodejs", "npm"]


SPA = '{"scripts": {"build": "vite build"}}'
# Front ends that are not at the top of the app's directory, with what is found and the start of the note.
FRONT_ENDS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "above the app, which serves what it builds": (
        {
            "api/app.py": "from flask import Flask\napp = Flask(__name__, static_folder='../build', static_url_path='/')\n",
            "api/requirements.txt": "flask\n",
            "package.json": SPA,
            "package-lock.json": "",
        },
        {
            "app_subdir": "",
            "app_entry": "app:app",
            "app_requirements": "api/requirements.txt",
            "app_environment": {"PYTHONPATH": "api"},
            "app_before_build": ["npm ci", "npm run build"],
        },
        "",
    ),
    "next to the app, which serves what it builds": (
        {
            "backend/app.py": "import os\nfrom flask import Flask, send_from_directory\napp = Flask(__name__)\n"
            "DIST = os.path.join(os.path.dirname(__file__), '..', 'frontend', 'dist')\n@app.get('/')\ndef home():\n"
            "    return send_from_directory(DIST, 'index.html')\n",
            "backend/requirements.txt": "flask\n",
            "frontend/package.json": SPA,
        },
        {
            "app_subdir": "",
            "app_requirements": "backend/requirements.txt",
            "app_before_build": ["npm install --prefix frontend", "npm run build --prefix frontend"],
            "app_build_packages": ["nodejs", "npm"],
        },
        "",
    ),
    "built into the app's directory": (
        {
            "backend/app.py": FLASK,
            "backend/requirements.txt": "flask\n",
            "frontend/package.json": SPA,
            "frontend/vite.config.ts": "export default { build: { outDir: '../backend/static' } }\n",
        },
        {"app_subdir": "", "app_before_build": ["npm install --prefix frontend", "npm run build --prefix frontend"]},
        "",
    ),
    "built into the app's directory, and committed": (
        {
            "app.py": FLASK,
            "requirements.txt": "flask\n",
            "client/simple/package.json": SPA,
            "client/simple/vite.config.ts": "const PATH = { dist: '../../static/simple' }\n",
            "static/simple/site.css": "",
        },
        {"app_subdir": "", "app_before_build": None},
        "",
    ),
    "next to the app, which is an API": (
        {"backend/app.py": FLASK, "backend/requirements.txt": "flask\n", "frontend/package.json": SPA},
        {"app_subdir": "backend", "app_requirements": None, "app_before_build": None},
        "frontend/package.json: nothing of the app refers to the files of this front end. If the app serves them, a release has the "
        "app's directory only, backend. Commit what it builds",
    ),
    "below the app, which does not refer to it": (
        {"app.py": FLASK, "requirements.txt": "flask\n", "client/package.json": SPA},
        {"app_subdir": "", "app_before_build": None},
        "client/package.json: nothing of the app refers to the files of this front end. If the app serves them, add the build to "
        "app_before_build: npm install --prefix client, npm run build --prefix client.",
    ),
    "with a lock file of the app": (
        {
            "api/app.py": "from flask import Flask\napp = Flask(__name__, static_folder='../build')\n",
            "api/uv.lock": "",
            "package.json": SPA,
        },
        {"app_subdir": "api", "app_before_build": None},
        "package.json: the app serves what this front end builds, and a release has the app's directory only, api.",
    ),
}


@pytest.mark.parametrize("shape", FRONT_ENDS)
def test_a_front_end_elsewhere_is_built_or_noted(detect: Detect, shape: str) -> None:
    files, expected, start = FRONT_ENDS[shape]
    report = detect(files)
    assert {name: report.get(name) for name in expected} == expected
    notes = [note for note in report.notes if "front end" in note]
    assert [note[: len(start)] for note in notes] == ([start] if start else [])


def test_processes_of_a_procfile_are_found(detect: Detect) -> None:
    procfile = (
        "web: gunicorn app:app\nrelease: python manage.py seed && flask db upgrade\nworker: poetry run celery -A app worker -c $CONCURRENCY\n"
        "beat: celery -A app beat\nfront: npm start\n"
    )
    report = detect({"app.py": FLASK, "requirements.txt": "flask\ncelery\n", "Procfile": procfile})
    assert report.get("app_processes") == {"worker": "sh -c 'celery -A app worker -c $CONCURRENCY'"}
    assert report.get("app_single_processes") == {"beat": "celery -A app beat"}
    assert report.get("app_setup_commands") == ["python manage.py seed", "flask --app app db upgrade"]


def test_a_variable_of_the_image_selects_the_configuration(detect: Detect) -> None:
    dockerfile = "FROM python:3.13\nENV FLASK_CONFIG=docker SECRET_TOKEN=abc DATA_ROOT=/data\n"
    code = "import os\nA = os.getenv('FLASK_CONFIG') or 'default'\nB = os.getenv('SECRET_TOKEN')\nC = os.getenv('DATA_ROOT')\n"
    report = detect(settings(code) | {"Dockerfile": dockerfile})
    assert report.get("app_environment") == {"FLASK_CONFIG": "docker"}


def test_defaults_of_a_start_script_count(detect: Detect) -> None:
    script = (
        "#!/bin/bash\nWORKER_CLASS=${WORKER_CLASS:-gevent}\nSECRET_KEY=${SECRET_KEY:-}\n"
        'exec gunicorn "shop:create_app()" --bind "0.0.0.0:${PORT:-8000}" --worker-class "$WORKER_CLASS"\n'
    )
    code = (
        "import os\nfrom flask import Flask\ndef create_app():\n    return Flask(__name__)\n"
        "HERE = os.path.dirname(__file__)\nCACHE_DIR = os.path.join(HERE, os.pardir, '.data', 'cache')\n"
    )
    report = detect({"shop/__init__.py": code, "requirements.txt": "flask\n", "docker-entrypoint.sh": script})
    assert report.get("app_entry") == "shop:create_app()"
    assert report.get("gunicorn_worker_class") == "gevent"
    assert report.get("app_generated_secrets") == ["SECRET_KEY"]
    assert report.get("app_shared_directories") == [".data/cache"]


def test_one_worker_stays_one(detect: Detect) -> None:
    report = detect(
        {"app.py": FLASK, "requirements.txt": "flask\n", "Procfile": "web: gunicorn -k eventlet -w 1 app:app\n"}
    )
    assert report.get("gunicorn_workers") == 1
    assert report.get("gunicorn_worker_class") == "eventlet"


@pytest.mark.parametrize("shape", ["yes", "{test: 1}", "[1]"])
def test_odd_files_are_no_obstacle(detect: Detect, shape: str) -> None:
    odd = {
        "compose.yaml": f"services: {{web: {{build: ., healthcheck: {shape}, command: {shape}, volumes: {shape}, environment: {shape}}}}}\n",
        "Procfile": "\ufeffweb: gunicorn app:app\r\n",
        "deep.py": "x = " + "(" * 5000 + ")" * 5000 + "\n",
        "chain.py": "x = a" + ".b" * 20000 + "\n",
        "sum.py": "x = 1" + " + 1" * 50000 + "\n",
        "start.sh": "f0() { flask a; }\n"
        + "".join(f"f{n}() {{ {f'f{n - 1}; ' * 10} }}\n" for n in range(1, 9))
        + "f8\n./start.sh\n" * 9
        + "if; then ;; esac } ) done <<X\n",
        "entrypoint.sh": "gunicorn app:app\n" * 50000,
        "latin.py": "# -*- coding: latin-1 -*-\nx = 1\n",
    }
    report = detect({"app.py": f"\ufeff{FLASK}", "requirements.txt": "\ufeffflask\n", **odd})
    assert report.get("app_entry") == "app:app"


def test_a_file_that_cannot_be_parsed_is_named(detect: Detect) -> None:
    with pytest.raises(InitError, match=r"No app was found(.|\n)*app\.py:2 can't be parsed as Python\."):
        detect({"app.py": "from flask import Flask\napp = Flask(\n", "requirements.txt": "flask\n"})


def test_what_is_not_committed_is_not_read(detect: Detect, tmp_path: Path) -> None:
    detect({"app.py": FLASK, "requirements.txt": "flask\n"})
    (tmp_path / "app/app.py").write_text("broken(\n")
    report = read(tmp_path / "app")
    assert report.get("app_entry") == "app:app"
    assert [note for note in report.notes if "changes that are not committed" in note]


def test_a_bare_repository_and_a_ref_are_read(tutorial: Path, tmp_path: Path) -> None:
    catalogue.run(tutorial, "git", "tag", "v1")
    catalogue.run(tmp_path, "git", "clone", "--quiet", "--bare", str(tutorial), "bare.git")
    with opened(str(tmp_path / "bare.git"), "v1", "", Report()) as source:
        assert "flaskr/__init__.py" in source.files
        assert source.ref == "v1"


MIGRATIONS = {"migrations/env.py": "", "migrations/versions/1.py": "", "requirements.txt": "flask\nflask-migrate\n"}
UPGRADE = "flask --app app db upgrade"
# Start scripts, with the set-up commands and with what is left to the user.
STEPS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "a deploy command in a loop": (
        {
            "boot.sh": '#!/bin/sh\nwhile true; do\n    flask deploy\n    if [[ "$?" == "0" ]]; then\n        break\n    fi\n    sleep 5\ndone\n'
            "exec gunicorn -b :5000 app:app\n",
        },
        [UPGRADE, "flask --app app deploy"],
        [],
    ),
    "initial data": (
        {
            "start.sh": "#!/bin/sh\nset -e\nuntil nc -z db 3306; do sleep 1; done\npython wait_for_db.py\nflask db upgrade\n"
            "python initial_data.py\nflask translate compile\nmkdir -p x\ngunicorn app:app\nflask after\n",
            "initial_data.py": "",
            "wait_for_db.py": "",
        },
        [UPGRADE, "python initial_data.py"],
        [],
    ),
    "a shell in a Compose file": (
        {
            "compose.yaml": 'services:\n  web:\n    build: .\n    command: sh -c "flask db upgrade && flask seed && gunicorn app:app"\n'
        },
        [UPGRADE, "flask --app app seed"],
        [],
    ),
    "a shell in a Dockerfile": (
        {"Dockerfile": 'FROM python\nCMD ["sh", "-c", "flask seed && flask db upgrade && exec gunicorn app:app"]\n'},
        ["flask --app app seed", UPGRADE],
        [],
    ),
    "an entry point that runs the image's command": (
        {
            "docker-entrypoint.sh": '#!/bin/sh\n. ./migrate.sh\nexec "$@"\n',
            "migrate.sh": "#!/bin/sh\nflask db upgrade && flask roles sync\n",
            "Dockerfile": 'FROM python\nENTRYPOINT ["./docker-entrypoint.sh"]\nCMD ["gunicorn", "app:app"]\n',
        },
        [UPGRADE, "flask --app app roles sync"],
        [],
    ),
    "functions and branches": (
        {
            "entrypoint.sh": "#!/bin/bash\nmigrate() {\n  flask db upgrade\n  flask seed\n}\nserver()\n{\n  migrate\n  exec gunicorn app:app\n}\n"
            'case "$1" in\n  worker)\n    flask purge\n    exec celery -A app worker ;;\n  *) server ;;\nesac\n',
        },
        [UPGRADE, "flask --app app seed"],
        [],
    ),
    "conditions": (
        {
            "start.sh": '#!/bin/sh\nif [ -n "$SEED" ]; then\n  flask seed\nelse\n  echo no\nfi\n[ "$ROLES" = 1 ] && flask roles\n'
            'flask db upgrade || flask repair\nflask create-admin "$EMAIL"\ngunicorn app:app\n',
        },
        [UPGRADE],
        [
            "start.sh:3: 'flask --app app seed' runs before the server on a condition. If this site needs it, add it to app_setup_commands.",
            "start.sh:7: 'flask --app app roles' runs",
            "start.sh:8: 'flask --app app repair' runs",
            "start.sh:9: 'sh -c 'flask --app app create-admin",
        ],
    ),
    "deletes data": (
        {
            "start.sh": "#!/bin/sh\nflask db upgrade\nflask reset-demo\npython init_db.py\npython tables.py\ngunicorn app:app\n",
            "init_db.py": "db.create_all()\n",
            "tables.py": "db.drop_all()\ndb.create_all()\n",
        },
        [UPGRADE, "python init_db.py"],
        [
            "start.sh:3: 'flask --app app reset-demo' runs before the server and may delete data, by its name. If it is safe to repeat, "
            "add it to app_setup_commands; else run it once, after the first deploy: sudo /opt/outport/run /srv/NAME flask --app app reset-demo",
            "start.sh:5: 'python tables.py' runs before the server and may delete data",
        ],
    ),
    "a program of the app": (
        {
            "pyproject.toml": "[project]\nname='a'\nversion='1'\ndependencies=['flask-migrate']\n[project.scripts]\nshop = 'app:main'\n",
            "requirements.txt": "flask\nflask-migrate\n",
            "Procfile": "web: shop sync && gunicorn app:app\n",
        },
        [UPGRADE, "shop sync"],
        [],
    ),
    "another service of the repository": (
        {
            "jobs/start.sh": "#!/bin/sh\nflask jobs\ngunicorn app:app\n",
            "jobs/requirements.txt": "flask\n",
        },
        [UPGRADE],
        [],
    ),
}


@pytest.mark.parametrize("shape", STEPS)
def test_the_steps_of_a_start_are_set_up_commands(detect: Detect, shape: str) -> None:
    files, commands, notes = STEPS[shape]
    report = detect({"app.py": FLASK, **MIGRATIONS, **files})
    assert report.get("app_setup_commands") == commands
    left = [note for note in report.notes if "before the server" in note]
    assert [note[: len(start)] for note, start in zip(left, notes, strict=True)] == notes


def test_a_script_in_a_directory_gets_the_import_path_of_the_image(detect: Detect) -> None:
    report = detect(
        {
            "app.py": FLASK,
            "scripts/seed.py": "import app\n",
            "requirements.txt": "flask\n",
            "Dockerfile": "FROM python\nWORKDIR /srv\nENV PYTHONPATH=/srv\nCMD python scripts/seed.py && gunicorn app:app\n",
        }
    )
    assert report.get("app_setup_commands") == ["python scripts/seed.py"]
    assert report.get("app_environment") == {"PYTHONPATH": "."}


def test_migrations_that_are_not_in_git_are_left_to_the_user(detect: Detect) -> None:
    start = "#!/bin/sh\nflask db init\nflask db migrate\nflask db upgrade\ngunicorn app:app\n"
    report = detect({"app.py": FLASK, "requirements.txt": "flask\nflask-migrate\n", "start.sh": start})
    assert report.get("app_setup_commands") is None
    assert [
        note
        for note in report.notes
        if note.startswith("start.sh:4: 'flask db upgrade' runs before the server, and no")
    ]


def test_here_documents_of_a_dockerfile_are_read(detect: Detect) -> None:
    dockerfile = (
        "FROM python:3.13\nRUN <<EOF\nset -e\npip install PyMySQL  # the driver\nEOF\nRUN <<PY python3\nprint('gunicorn wrong:app')\nPY\n"
        "RUN <<EOF\n#!/usr/bin/env python3\nimport os\nEOF\n"
        'COPY <<-"EOT" /start.sh\n\t#!/bin/sh\n\tflask db upgrade\n\texec gunicorn app:app -k gevent\n\tEOT\nCMD ["/start.sh"]\n'
    )
    report = detect({"app.py": FLASK, "other.py": FLASK, **MIGRATIONS, "Dockerfile": dockerfile})
    assert report.get("app_entry") == "app:app"
    assert str(report.findings["app_entry"]) == "Dockerfile:16: gunicorn runs app:app"
    assert report.get("gunicorn_worker_class") == "gevent"
    assert report.get("app_extra_requirements") == ["gunicorn[gevent]", "PyMySQL"]
    assert report.get("app_setup_commands") == [UPGRADE]


def test_a_script_that_a_dockerfile_writes_is_read(detect: Detect) -> None:
    dockerfile = (
        "FROM python\nRUN cat > /start.sh <<'EOF'\n#!/bin/sh\ngunicorn other:app\nEOF\nRUN <<EOF\nnever closed\n"
    )
    report = detect({"app.py": FLASK, "other.py": FLASK, "requirements.txt": "flask\n", "Dockerfile": dockerfile})
    assert report.get("app_entry") == "other:app"


def test_services_of_compose_are_found(detect: Detect) -> None:
    services = (
        "services:\n  web: {build: ., command: gunicorn app:app}\n  jobs: {build: ., command: [rq, worker, jobs]}\n"
        "  db: {image: 'mysql:8', command: mysqld}\n  assets: {build: ., command: npm run watch}\n"
    )
    report = detect({"app.py": FLASK, "requirements.txt": "flask\nrq\n", "docker-compose.yml": services})
    assert report.get("app_processes") == {"jobs": "rq worker jobs"}


# The command


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the template of the settings, where environments are written."""
    root = tmp_path / "outport"
    template = root / "inventory/production"
    (template / "group_vars").mkdir(parents=True)
    for name in ("group_vars/all.yml", "aws_ec2.yml"):
        (template / name).write_text((cli.ROOT / "inventory/production" / name).read_text())
    for module in (cli, settings_file):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(settings_file, "TEMPLATE", template)
    return root


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """The repository of a small app."""
    return catalogue.create("tutorial", tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command without a terminal."""
    monkeypatch.setattr(sys, "argv", ["bin/init", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return cli.main()


def test_an_environment_is_written_with_valid_settings(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = project / "key.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0lQXv1pY0m0v4v3n2QnB3m7b2cJ1x6rC7w8m9k0aZt test")
    answers = (
        "--site-domain",
        "notes.example.org",
        "--aws-region",
        "us-east-1",
        "--ssh-allowed-cidrs",
        "203.0.113.7/32, 203.0.113.9/32",
    )
    assert (
        run(
            monkeypatch,
            tutorial,
            "--env",
            "notes",
            *answers,
            "--set",
            f"ssh_public_key_file={key}",
            "--set",
            "app_health_path=/about",
        )
        == 0
    )
    text = (project / "inventory/notes/group_vars/all.yml").read_text()
    written = yaml.safe_load(text)
    assert written["environment_name"] == "notes"
    assert written["app_name"] == "tutorial"
    assert written["site_domain"] == "notes.example.org"
    assert written["ssh_allowed_cidrs"] == ["203.0.113.7/32", "203.0.113.9/32"]
    assert written["app_health_path"] == "/about"
    assert written["database"] == "none"
    assert not [name for name in written if name.startswith("database_")]
    assert "app_entry: flaskr:create_app() # flaskr/__init__.py:8: create_app() creates the Flask app\n" in text
    assert len(text.splitlines()) <= 40
    inventory = yaml.safe_load((project / "inventory/notes/aws_ec2.yml").read_text())
    assert inventory["regions"] == ["us-east-1"]
    assert inventory["filters"]["tag:Environment"] == "notes"
    output = capsys.readouterr().out
    assert "bin/lab up --env notes" in output
    assert "Allowed:" not in output


APT = {
    "libraries, programs and tools of the image": (
        "RUN apt-get update && apt-get install -y --no-install-recommends \\\n    build-essential libpq-dev git curl \\\n    ffmpeg=7:* \\\n"
        "    && rm -rf /var/lib/apt/lists/*\n",
        ["gcc", "python3-dev", "libpq-dev"],
        ["ffmpeg"],
    ),
    "tools of the image only": ("RUN apt-get install -qq build-essential wget nginx\n", None, None),
    "tools to compile with": (
        "RUN apt update; apt install -y g++ pkg-config libxmlsec1-dev libc-dev\n",
        ["gcc", "python3-dev", "g++", "pkg-config", "libxmlsec1-dev"],
        None,
    ),
    "a here-document": (
        "RUN <<EOF\napt-get -o Acquire::Retries=3 install -y tesseract-ocr\nEOF\n",
        None,
        ["tesseract-ocr"],
    ),
    "an earlier name": ("RUN apt-get install -y libgl1-mesa-glx libffi7\n", None, ["libgl1"]),
    "a name with a number": ("RUN apt-get install -y libicu72 libmagic1\n", None, ["libicu72", "libmagic1"]),
    "variables": ("RUN apt-get install -y $PACKAGES poppler-utils\n", None, ["poppler-utils"]),
}


@pytest.mark.parametrize("shape", APT)
def test_debian_packages_of_an_image_are_found(detect: Detect, shape: str) -> None:
    run, build, packages = APT[shape]
    report = detect(
        {
            "backend/app.py": FLASK,
            "backend/requirements.txt": "flask\n",
            "backend/Dockerfile": f"FROM python:3.13\n{run}",
            "front/Dockerfile": "FROM node\nRUN apt-get install -y libvips\n",
        }
    )
    assert (report.get("app_build_packages"), report.get("app_packages")) == (build, packages)
    for name in ("app_build_packages", "app_packages"):
        if name in report.findings:
            assert str(report.findings[name]).startswith("backend/Dockerfile:2: the image installs ") or "EOF" in run
    assert bool([note for note in report.notes if "libicu72: the number is" in note]) == ("number" in shape)


CONDA = "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - conda-forge::flask>=3\n  - numpy =2\n  - pip\n  - pip: [gunicorn]\n"


def test_conda_is_refused_with_what_to_write(detect: Detect) -> None:
    with pytest.raises(
        InitError,
        match=r"in environment\.yml, for Conda, .*Write and commit a requirements\.txt.* It names flask, numpy, gunicorn; some",
    ):
        detect({"app.py": FLASK, "environment.yml": CONDA})


def test_an_email_address_that_nobody_gave_is_named(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Before the configuration of the clone that the tests run in, which may have an address too.
    for name, value in (("COUNT", "1"), ("KEY_0", "user.email"), ("VALUE_0", "operator@example.net")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert run(monkeypatch, tutorial, "--yes", "--show") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "acme_email is operator@example.net of git's configuration, which the certificate authority gets" in shown
    assert run(monkeypatch, tutorial, "--yes", "--show", "--acme-email", "ops@example.org") == 0
    assert "which the certificate authority gets" not in " ".join(capsys.readouterr().out.split())


def test_settings_that_exist_are_not_overwritten(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tutorial, "--yes") == 0
    file = project / "inventory/production/group_vars/all.yml"
    before = file.read_text()
    assert run(monkeypatch, tutorial, "--yes", "--app-name", "other") == 1
    assert (
        "inventory/production has settings already, and they are not overwritten. Choose another name: --env NAME"
        in capsys.readouterr().err
    )
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ref", "nosuch"], "has no branch, tag or commit 'nosuch'"),
        (["--ref=--upload-pack=x"], '--ref: found "--upload-pack=x"'),
        (["--site-domain", "Example.com"], 'site_domain: found "Example.com". Allowed: a domain name in lower case'),
        (["--env", "Production"], '--env: found "Production"'),
        (["--set", "app_health=/x"], "--set app_health=/x: expected NAME=VALUE with the name of a setting"),
        (["--set", "ref=main"], "--set ref=main: expected NAME=VALUE"),
        (["--set", "app_timeout=soon"], "app_timeout: found"),
        (["--ssh-allowed-cidrs", "203.0.113.7"], "ssh_allowed_cidrs: found"),
    ],
)
def test_an_invalid_answer_is_refused_before_anything_is_written(
    project: Path,
    tutorial: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, tutorial, *arguments) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in (project / "inventory").iterdir()] == ["production"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nowhere", "is neither a directory nor the URL of a git repository"),
        (lambda path: path, "has no commits, and the hosts fetch the app from git"),
        (lambda path: f"file://{path}/nowhere", "was not fetched:"),
        (lambda path: "", "'' is neither a directory nor the URL"),
    ],
)
def test_a_repository_that_cannot_be_read_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Any],
    message: str,
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run(monkeypatch, make(tmp_path), "--env", "shop") == 1
    assert message in capsys.readouterr().err


def test_a_url_is_cloned_and_its_credentials_are_left_out(tutorial: Path) -> None:
    report = Report()
    with opened(f"file://{tutorial}", "", "", report) as source:
        assert source.name == "tutorial"
        assert source.ref == "main"
        assert source.top != tutorial
    assert not source.top.exists()
    catalogue.run(tutorial, "git", "remote", "add", "origin", "https://user:token@git.example.org/shop.git")
    with opened(str(tutorial), "", "", report) as source:
        assert source.url == "https://git.example.org/shop.git"
        assert source.name == "shop"
    assert "token" not in source.url
    assert [note for note in report.notes if "app_repository_token" in note]


def test_one_of_two_apps_is_chosen_by_its_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / "apps" / name).mkdir(parents=True)
        (tmp_path / "apps" / name / f"{name}.py").write_text(FLASK)
        (tmp_path / "apps" / name / "requirements.txt").write_text("flask\n")
    catalogue.run(tmp_path / "apps", "git", "init", "--quiet")
    catalogue.commit(tmp_path / "apps", "Add two apps")
    assert run(monkeypatch, f"file://{tmp_path}/apps", "--env", "two", "--set", "app_subdir=two") == 0
    written = yaml.safe_load((project / "inventory/two/group_vars/all.yml").read_text())
    assert (written["app_subdir"], written["app_entry"]) == ("two", "two:app")


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("Shop", "shop"),
        ("my_Flask.App", "my-flask-app"),
        ("2048-game", "game"),
        ("nginx", "nginx-app"),
        ("a-very-long-name-of-a-repository", "a-very-long-name-of"),
    ],
)
def test_the_name_of_the_app_is_one_that_is_allowed(repository: str, name: str) -> None:
    answers = questions.ask(repository, {}, interactive=False)
    assert answers["app_name"] == name
    assert {setting: problem(setting, value) for setting, value in answers.items() if problem(setting, value)} == {}
    assert len(questions.QUESTIONS) <= 6


def test_questions_are_asked_again_until_the_answer_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["Shop\n", "shop\n", "\n", "\n", "\n", "\n", "10.0.0.0/8 192.0.2.0/24\n"])
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"readline": lambda self: next(lines)})())
    answers = questions.ask("repository", {}, interactive=True)
    assert answers["app_name"] == "shop"
    assert answers["site_domain"] == "shop.example.com"
    assert answers["ssh_allowed_cidrs"] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert 'app_name: found "Shop"' in capsys.readouterr().out


def test_the_program_runs() -> None:
    done = subprocess.run([cli.ROOT / "bin/init", "--help"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "Settings that exist are never overwritten" in " ".join(done.stdout.split())
