"""Functions that create the app, and those that have to be called before it is complete."""

import pytest
from support.detection import FLASK, Detect

from init.settings_check import problem

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
