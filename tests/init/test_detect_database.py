"""The database that an app is given."""

from pathlib import Path

import pytest
from support.detection import Detect, read, settings

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


def test_a_database_among_the_files_of_the_app_is_noted(detect: Detect) -> None:
    code = "import os\nHERE = os.path.abspath(os.path.dirname(__file__))\nSQLALCHEMY_DATABASE_URI = 'sqlite:///' + os.path.join(HERE, 'app.db')\n"
    report = detect(settings(code))
    assert report.get("app_shared_directories") is None
    assert (
        "config.py:3: the database app.db is among the app's files, which are read-only. Move it to a directory of its own, such as instance/"
        in (report.notes)
    )


DSN = "import os\nfrom flask import Flask\nfrom sqlalchemy import create_engine\napp = Flask(__name__)\n"
READ = "os.environ.get('LEDGER_DSN')"


# Code that uses a variable as the database's URL, whatever its name is.
URLS = {
    "a default": "x = os.environ.get('LEDGER_DSN', 'mysql+pymysql://root@localhost/ledger')\n",
    "a default of PostgreSQL": "x = os.getenv('LEDGER_DSN', default='postgres://localhost/ledger')\n",
    "a default of SQLite": "x = os.environ.get('LEDGER_DSN', 'sqlite:///' + os.path.join('instance', 'x.db'))\n",
    "a default after or": "x = os.environ.get('LEDGER_DSN') or f'sqlite:///{app.instance_path}/x.db'\n",
    "a default with a name": "URL = 'mysql://localhost/x'\nx = os.environ.get('LEDGER_DSN', URL)\n",
    "a variable": f"DATABASE_URI = {READ}\n",
    "the configuration": f"app.config['SQLALCHEMY_DATABASE_URI'] = {READ}\n",
    "a class": f"class Config:\n    SQLALCHEMY_DATABASE_URI = {READ}\n",
    "a keyword": f"app.config.update(SQLALCHEMY_DATABASE_URI={READ})\n",
    "an entry": f"SETTINGS = {{'SQLALCHEMY_DATABASE_URI': {READ}}}\n",
    "an engine": f"engine = create_engine({READ}, pool_pre_ping=True)\n",
    "an engine with a variable": f"dsn = {READ}\nif dsn:\n    dsn = dsn.replace('a', 'b')\nengine = create_engine(dsn)\n",
    "a function of its own": f"def fixed(url):\n    return url\napp.config['SQLALCHEMY_DATABASE_URI'] = fixed({READ})\n",
    "Alembic": f"def run(config):\n    config.set_main_option('sqlalchemy.url', {READ})\n",
    "a configuration key": f"app.config['LEDGER'] = {READ}\ndef f(current_app):\n    create_engine(current_app.config['LEDGER'])\n",
    "dj-database-url": "import dj_database_url\nDATABASES = {'default': dj_database_url.config(env='LEDGER_DSN')}\n",
    "a parsed URL": f"import dj_database_url\nDATABASES = {{'default': dj_database_url.parse({READ})}}\n",
    "django-environ": "import environ\nenv = environ.Env()\nDATABASES = {'default': env.db('LEDGER_DSN')}\n",
    "pydantic": "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    ledger_dsn: str\nengine = create_engine(S().ledger_dsn)\n",
}


@pytest.mark.parametrize("shape", URLS)
def test_a_url_of_the_database_is_found_by_its_use(detect: Detect, shape: str) -> None:
    report = detect({"app.py": DSN + URLS[shape], "requirements.txt": "flask\nsqlalchemy\n"})
    assert report.get("database") == "mysql"
    assert report.get("app_database_variables") == {"LEDGER_DSN": "sqlalchemy-pymysql"}
    assert not [note for note in report.notes if "LEDGER_DSN" in note]


def test_a_url_of_another_module_is_found_by_its_use(detect: Detect) -> None:
    for code in ("from config import DSN\ncreate_engine(DSN)\n", "import config\ncreate_engine(config.DSN)\n"):
        files = {"app.py": DSN + code, "config.py": f"import os\nDSN = {READ}\nHOOK = os.environ.get('HOOK')\n"}
        report = detect(files | {"requirements.txt": "flask\nsqlalchemy\n"})
        assert report.get("app_database_variables") == {"LEDGER_DSN": "sqlalchemy-pymysql"}


@pytest.mark.parametrize(
    "code",
    [
        "class TestConfig:\n    SQLALCHEMY_DATABASE_URI = os.environ.get('LEDGER_URI', 'sqlite://')\n",
        "x = os.environ.get('LEDGER_TEST', 'sqlite://')\n",
        "HOOK_URL = os.environ.get('HOOK', 'https://localhost')\n",
        "def f(request):\n    url = os.environ['HOOK']\n",
        "x = os.environ.get('QUEUE', 'amqp://localhost')\n",
    ],
)
def test_a_url_of_something_else_is_no_database(detect: Detect, code: str) -> None:
    report = detect(
        {"app.py": f"{DSN}{code}def g(url):\n    create_engine(url)\n", "requirements.txt": "flask\nsqlalchemy\n"}
    )
    assert report.get("database") == "none"
    assert report.get("app_database_variables") is None


# Code that uses variables as parts of the database's address, whatever their names are.
USED_PARTS = {
    "a formatted URL": "app.config['SQLALCHEMY_DATABASE_URI'] = f\"mysql+pymysql://{U}:{P}@{H}:3306/{N}\"\n",
    "a URL of parts": "from sqlalchemy.engine import URL\nURL.create('mysql', username=U, password=P, host=H, database=N)\n",
    "a driver": "import pymysql\npymysql.connect(user=U, password=P, host=H, db=N)\n",
    "Django": "DATABASES = {'default': {'USER': U, 'PASSWORD': P, 'HOST': H, 'NAME': N}}\n",
    "the configuration": "app.config['MYSQL_USER'], MYSQL_PASSWORD, MYSQL_HOST = 1, 2, 3\n"
    "app.config.update(MYSQL_USER=U, MYSQL_PASSWORD=P, MYSQL_HOST=H, MYSQL_DB=N)\n",
}


@pytest.mark.parametrize("shape", USED_PARTS)
def test_parts_of_the_address_are_found_by_their_use(detect: Detect, shape: str) -> None:
    names = {"U": "username", "P": "password", "H": "host", "N": "dbname"}
    code = "".join(f"{name} = os.environ['LEDGER_{name}']\n" for name in names)
    report = detect({"app.py": DSN + code + USED_PARTS[shape], "requirements.txt": "flask\nsqlalchemy\npymysql\n"})
    assert report.get("app_database_variables") == {f"LEDGER_{name}": f"{{{part}}}" for name, part in names.items()}
    assert not [note for note in report.notes if "LEDGER_" in note]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{PARTS}CA = os.environ['DB_SSL_CA']\n", {"DB_PASSWORD": "{password}", "DB_SSL_CA": "{ca_file}"}),
        (f"{PARTS}CA = os.getenv('MYSQL_CA_CERT')\n", {"DB_PASSWORD": "{password}", "MYSQL_CA_CERT": "{ca_file}"}),
        (
            "import os\nA = os.environ['DATABASE_URL']\nB = os.environ['MYSQL_ATTR_SSL_CA']\n",
            {"DATABASE_URL": "sqlalchemy-pymysql", "MYSQL_ATTR_SSL_CA": "{ca_file}"},
        ),
        (
            f"import pymysql\n{PARTS}pymysql.connect(ssl_ca=os.environ['CERTIFICATES'])\n",
            {"DB_PASSWORD": "{password}", "CERTIFICATES": "{ca_file}"},
        ),
    ],
)
def test_the_file_of_the_authority_is_given_to_the_app(detect: Detect, code: str, expected: dict[str, str]) -> None:
    report = detect(settings(code))
    assert report.get("app_database_variables") == expected
    assert not [note for note in report.notes if "has no default" in note]


def test_migrations_without_a_database_are_noted(detect: Detect, tmp_path: Path) -> None:
    files = {
        "app.py": DSN,
        "Procfile": "release: flask db upgrade\nweb: gunicorn app:app\n",
        "requirements.txt": "flask\nsqlalchemy\n",
    }
    report = detect(files)
    assert report.get("database") == "none"
    assert [note for note in report.notes if "migrates a database" in note] == [
        "'flask --app app db upgrade' migrates a database, but database is none: no variable with a database's address was found in the "
        "code. Set database: mysql, and in app_database_variables the variable that the app reads, such as "
        "{DATABASE_URL: sqlalchemy-pymysql}; see docs/your-app.md."
    ]
    assert not [note for note in read(tmp_path / "app", database="none").notes if "migrates" in note]
    sqlite = f"{DSN}app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///x.db'\n"
    assert not [note for note in detect(files | {"app.py": sqlite}).notes if "migrates" in note]


def test_what_is_given_is_not_left_to_the_user(detect: Detect, tmp_path: Path) -> None:
    files = {"app.py": f"{DSN}KEY = os.environ['API_TOKEN']\n", "requirements.txt": "flask\n"}
    variables = {"DATABASE_URL": "sqlalchemy-pymysql"}
    report = detect(files, app_database_variables=variables, app_health_path="/x", app_environment={"API_TOKEN": "1"})
    assert report.get("database") == "mysql"
    assert not [note for note in report.notes if "Map them" in note or "app_health_path" in note or "API_TOKEN" in note]
    assert [note for note in read(tmp_path / "app", database="mysql").notes if "Map them" in note]
