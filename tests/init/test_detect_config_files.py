"""Configuration files that git does not have."""

import pytest
from support.detection import Detect

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
