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
