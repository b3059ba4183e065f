"""The environment variables that an app reads, and their values."""

from typing import Any

import pytest
from support.detection import FLASK, Detect, settings

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


def test_a_secret_key_in_the_code_is_reported(detect: Detect) -> None:
    report = detect({"app.py": f"{FLASK}app.secret_key = 'dev'\n", "requirements.txt": "flask\n"})
    assert (
        "app.py:4: the secret key is 'dev', which is no secret. Read it from a variable: os.environ['SECRET_KEY']"
        in report.notes
    )


def test_a_variable_of_the_image_selects_the_configuration(detect: Detect) -> None:
    dockerfile = "FROM python:3.13\nENV FLASK_CONFIG=docker SECRET_TOKEN=abc DATA_ROOT=/data\n"
    code = "import os\nA = os.getenv('FLASK_CONFIG') or 'default'\nB = os.getenv('SECRET_TOKEN')\nC = os.getenv('DATA_ROOT')\n"
    report = detect(settings(code) | {"Dockerfile": dockerfile})
    assert report.get("app_environment") == {"FLASK_CONFIG": "docker"}


DEBUG = "import os\nclass DevelopmentConfig:\n    DEBUG = True\nclass ProductionConfig:\n    DEBUG = False\n"
TABLE = "T = {'development': DevelopmentConfig, 'production': ProductionConfig, 'default': DevelopmentConfig}\n"
SELECTS = (
    "config.py:{line}: LEDGER_PROFILE selects the configuration, and its default is {default}: "
    "add the one for production to app_environment{value}."
)


# Code that selects a configuration by a variable, with its line, default and the value for production in the note.
PROFILES = {
    "a table": (
        f"{DEBUG}{TABLE}C = T[os.getenv('LEDGER_PROFILE', 'development')]\n",
        7,
        "development",
        ": {LEDGER_PROFILE: production}",
    ),
    "the table's default": (
        f"{DEBUG}{TABLE}C = T[os.getenv('LEDGER_PROFILE') or 'default']\n",
        7,
        "default",
        ": {LEDGER_PROFILE: production}",
    ),
    "a class": (
        f"{DEBUG}C = os.environ.get('LEDGER_PROFILE', 'config.DevelopmentConfig')\n",
        6,
        "config.DevelopmentConfig",
        ": {LEDGER_PROFILE: config.ProductionConfig}",
    ),
    "a comparison": (
        "import os\nDEBUG = True\nif os.getenv('LEDGER_PROFILE', 'dev') == 'prod':\n    DEBUG = False\n",
        3,
        "dev",
        ": {LEDGER_PROFILE: prod}",
    ),
    "no value for production": ("import os\nDEBUG = True\nP = os.getenv('LEDGER_PROFILE', 'local')\n", 3, "local", ""),
}


@pytest.mark.parametrize("shape", PROFILES)
def test_a_configuration_that_is_not_for_production_is_noted(detect: Detect, shape: str) -> None:
    code, line, default, value = PROFILES[shape]
    report = detect(settings(code))
    assert [note for note in report.notes if "selects the configuration" in note] == [
        SELECTS.format(line=line, default=default, value=value)
    ]


@pytest.mark.parametrize(
    ("code", "given"),
    [
        (f"{DEBUG}{TABLE}C = T[os.getenv('LEDGER_PROFILE', 'production')]\n", {}),
        (f"{DEBUG}C = os.getenv('LEDGER_PROFILE', 'devices')\n", {}),
        ("import os\nC = os.getenv('MYSQL_HOST', 'local')\n", {}),
        (
            f"{DEBUG}{TABLE}C = T[os.getenv('LEDGER_PROFILE', 'development')]\n",
            {"app_environment": {"LEDGER_PROFILE": "production"}},
        ),
    ],
)
def test_a_configuration_for_production_is_not_noted(detect: Detect, code: str, given: dict[str, Any]) -> None:
    assert not [note for note in detect(settings(code), **given).notes if "selects the configuration" in note]


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
