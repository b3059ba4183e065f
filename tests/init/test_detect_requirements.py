"""The files and the settings that an app's requirements are found in."""

import pytest
from support.detection import FLASK, Detect

from init.report import InitError

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
        {"web_image": "debian-12-amd64"},
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
        {"web_image": "debian-12-amd64"},
    ),
    "values of other types": (
        {"requirements.txt": "", "pyproject.toml": "[tool]\npoetry = 5\n[project]\ndependencies = 'x'\n"},
        {"app_python": None},
    ),
    "any Python": (
        {"pyproject.toml": "[project]\nname='a'\nversion='1'\nrequires-python = '>=3.9'\n"},
        {"app_python": None, "web_image": None},
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


CONDA = "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - conda-forge::flask>=3\n  - numpy =2\n  - pip\n  - pip: [gunicorn]\n"


def test_conda_is_refused_with_what_to_write(detect: Detect) -> None:
    with pytest.raises(
        InitError,
        match=r"in environment\.yml, for Conda, .*Write and commit a requirements\.txt.* It names flask, numpy, gunicorn; some",
    ):
        detect({"app.py": FLASK, "environment.yml": CONDA})
