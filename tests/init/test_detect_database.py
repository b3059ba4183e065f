"""The database that an app is given."""

import pytest
from support.detection import Detect, settings

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
