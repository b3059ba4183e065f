"""The directories that an app writes to."""

import pytest
from support.detection import FLASK, Detect

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
