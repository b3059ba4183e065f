"""The path of the health check."""

import pytest
from support.detection import FLASK, Detect

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
    "a first page that redirects": (
        "@app.route('/')\ndef home():\n    return redirect(url_for('board'))\n\n@app.route('/board')\ndef board():\n    return ''\n",
        "/board",
    ),
    "a health check that redirects": (
        "@app.route('/health')\ndef h():\n    return redirect('/x'), 301\n\n@app.route('/live')\ndef live():\n    return ''\n",
        "/live",
    ),
    "a redirect in each case": (
        "@app.get('/')\ndef home():\n    if a:\n        return redirect('/a')\n    b = redirect('/b')\n    return b\n\n"
        "@app.get('/a')\ndef a():\n    return ''\n",
        "/a",
    ),
    "a redirect in one case": (
        "@app.get('/')\ndef home():\n    if a:\n        return redirect('/a')\n    return ''\n\n@app.get('/a')\ndef a():\n    return ''\n",
        "/",
    ),
    "a redirect to a login": (
        "@app.get('/')\ndef home():\n    if not user:\n        return redirect(url_for('login'))\n    return ''\n\n"
        "@app.route('/login')\ndef login():\n    if post:\n        return redirect(url_for('login'))\n    return ''\n",
        "/login",
    ),
    "a redirect of the rule": (
        "app.add_url_rule('/', redirect_to='/a')\n@app.get('/a')\ndef a():\n    return ''\n",
        "/a",
    ),
    "a rule of a view": (
        "def home():\n    return redirect('/a')\n\napp.add_url_rule('/', view_func=home)\napp.add_url_rule('/a', 'a', abc)\n",
        "/a",
    ),
    "a view in a view": (
        "@app.get('/')\ndef home():\n    def inner():\n        return redirect('/a')\n    return inner\n",
        "/",
    ),
    "a word of the path": (
        "@app.get('/')\ndef home():\n    return ''\n\n@app.get('/_ops/heartbeat-check')\ndef check():\n    return ''\n",
        "/_ops/heartbeat-check",
    ),
    "a part of the path": (
        "@app.get('/')\ndef home():\n    return ''\n\n@app.get('/health/db')\ndef d():\n    return ''\n",
        "/health/db",
    ),
    "the usual path before others": (
        "@app.get('/live')\ndef a():\n    return ''\n\n@app.get('/is-alive')\ndef b():\n    return ''\n\n"
        "@app.get('/internal/healthz')\ndef c():\n    return ''\n",
        "/internal/healthz",
    ),
    "a word inside of another": (
        "@app.get('/')\ndef home():\n    return ''\n\n@app.get('/shopping')\ndef a():\n    return ''\n\n@app.get('/live-music')\n"
        "def b():\n    return ''\n",
        "/",
    ),
    "with a variable part": ("@app.get('/health/<name>')\ndef status(name):\n    return ''\n", "/"),
}


@pytest.mark.parametrize("shape", HEALTH)
def test_the_path_of_the_health_check_is_found(detect: Detect, shape: str) -> None:
    code, expected = HEALTH[shape]
    report = detect({"app.py": FLASK + code, "requirements.txt": "flask\n"})
    assert report.get("app_health_path") == expected


OPS = "from flask import Blueprint\n\nbp = Blueprint('ops', __name__{prefix})\n\n@bp.route('/heartbeat-check')\ndef check():\n    return ''\n"
CREATE = (
    "from flask import Flask\nfrom shop.ops import bp as ops\n{top}\n"
    "def create_app():\n    app = Flask(__name__)\n    {register}\n    return app\n"
)


# Blueprints, by their prefix and by what registers them, with the path of the health check.
PREFIXES = {
    "of the blueprint": (", url_prefix='/_ops'", "", "app.register_blueprint(ops)", "/_ops/heartbeat-check"),
    "of its registration": ("", "", "app.register_blueprint(ops, url_prefix='/_ops')", "/_ops/heartbeat-check"),
    "of both": (", url_prefix='/a'", "", "app.register_blueprint(ops, url_prefix='/b')", "/b/heartbeat-check"),
    "none": (", url_prefix=None", "", "app.register_blueprint(ops, url_prefix=None)", "/heartbeat-check"),
    "a constant": (
        "",
        "API = '/api'\nOPS = f'{API}' + '/ops'",
        "app.register_blueprint(ops, url_prefix=OPS)",
        "/api/ops/heartbeat-check",
    ),
    "of a blueprint around it": (
        ", url_prefix='/ops'",
        "from flask import Blueprint\napi = Blueprint('api', __name__, url_prefix='/api')\napi.register_blueprint(ops)",
        "app.register_blueprint(api, url_prefix='/v1')",
        "/v1/ops/heartbeat-check",
    ),
    "one that is computed": ("", "", "app.register_blueprint(ops, url_prefix=app.config['OPS'])", "/"),
}


@pytest.mark.parametrize("shape", PREFIXES)
def test_the_prefix_of_a_blueprint_is_part_of_the_path(detect: Detect, shape: str) -> None:
    prefix, top, register, expected = PREFIXES[shape]
    files = {"shop/ops.py": OPS.format(prefix=prefix), "shop/__init__.py": CREATE.format(top=top, register=register)}
    assert detect(files | {"requirements.txt": "flask\n"}).get("app_health_path") == expected


def test_the_prefix_of_a_router_is_added_to_its_own(detect: Detect) -> None:
    code = (
        "from fastapi import APIRouter, FastAPI\napp = FastAPI()\nr = APIRouter(prefix='/ops')\n@r.get('/health')\ndef h():\n    return {}\n"
        "app.include_router(r, prefix='/api')\n"
    )
    assert detect({"app.py": code, "requirements.txt": "fastapi\n"}).get("app_health_path") == "/api/ops/health"


def test_an_app_whose_only_page_redirects_needs_a_health_check(detect: Detect) -> None:
    code = "@app.route('/')\ndef home():\n    return redirect('/x')\n"
    report = detect({"app.py": FLASK + code, "requirements.txt": "flask\n"})
    assert report.get("app_health_path") is None
    assert (
        "app.py:4: no page of the app responds with 200, as far as can be seen: the first one redirects. Add a health check to the app, "
        "and set app_health_path." in report.notes
    )


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("path('', RedirectView.as_view(url='/a')), path('admin/', admin.site.urls)", "/admin/login/"),
        ("path('', views.home), path('admin/', admin.site.urls)", "/admin/login/"),
        ("path('', views.home), path('_ops/heartbeat-check', views.check)", "/_ops/heartbeat-check"),
        ("path('', views.index)", "/"),
    ],
)
def test_a_page_of_django_that_redirects_is_not_taken(detect: Detect, urls: str, expected: str) -> None:
    files = {
        "shop/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
        "shop/urls.py": f"urlpatterns = [{urls}]\n",
        "shop/views.py": "def home(request):\n    return redirect('/a')\n",
        "requirements.txt": "django\n",
    }
    assert detect(files).get("app_health_path") == expected


def test_the_health_check_of_an_image_that_ends_at_a_login_is_not_taken(detect: Detect) -> None:
    code = "@app.route('/')\n@login_required\ndef home():\n    return ''\n\n@app.get('/ping')\ndef ping():\n    return ''\n"
    dockerfile = "FROM python:3.13\nHEALTHCHECK CMD curl --location http://localhost:8000/\n"
    report = detect({"app.py": FLASK + code, "requirements.txt": "flask\n", "Dockerfile": dockerfile})
    assert report.get("app_health_path") == "/ping"
