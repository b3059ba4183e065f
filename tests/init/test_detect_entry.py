"""The entry point that is found: of Flask, Django, Dash, Connexion and ASGI apps, in the forms that they are written in."""

from typing import Any

import pytest
from support.detection import FLASK, Detect

from init.report import InitError
from init.settings_check import problem

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
