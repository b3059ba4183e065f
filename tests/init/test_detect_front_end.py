"""The build of a front end."""

from typing import Any

import pytest
from support.detection import FLASK, Detect


def test_assets_that_an_image_builds_are_built(detect: Detect) -> None:
    dockerfile = "FROM python:3.13\nRUN yarn install --production && flask assets build\n"
    report = detect({"app.py": FLASK, "requirements.txt": "flask\n", "package.json": "{}", "Dockerfile": dockerfile})
    assert report.get("app_after_build") == ["flask --app app assets build"]
    assert [
        note
        for note in report.notes
        if note.startswith("Dockerfile:2: the image runs 'yarn install --production', for packages")
    ]


def test_a_front_end_is_built(detect: Detect) -> None:
    report = detect(
        {
            "app.py": FLASK,
            "requirements.txt": "",
            "package.json": '{"scripts": {"test": "x", "build": "vite build"}}',
            "package-lock.json": "",
        }
    )
    assert report.get("app_before_build") == ["npm ci", "npm run build"]
    assert report.get("app_build_packages") == ["nodejs", "npm"]


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        (
            {"yarn.lock": "# yarn lockfile v1\n"},
            ["npx --yes yarn@1 --cwd web install --frozen-lockfile", "npx --yes yarn@1 --cwd web run build"],
        ),
        (
            {"yarn.lock": "__metadata:\n  version: 8\n", ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-4.5.0.cjs\n"},
            [
                "npx --yes --package @yarnpkg/cli-dist@4.5.0 yarn --cwd web install --immutable",
                "npx --yes --package @yarnpkg/cli-dist@4.5.0 yarn --cwd web run build",
            ],
        ),
        (
            {"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"},
            ["npx --yes pnpm@8 --dir web install --frozen-lockfile", "npx --yes pnpm@8 --dir web run build"],
        ),
        (
            {
                "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
                "package.json": '{"packageManager": "pnpm@10.1.0+sha512.0123", "scripts": {"build": "vite build"}}',
            },
            ["npx --yes pnpm@10.1.0 --dir web install --frozen-lockfile", "npx --yes pnpm@10.1.0 --dir web run build"],
        ),
    ],
)
def test_a_front_end_is_built_with_its_own_package_manager(
    detect: Detect, files: dict[str, str], commands: list[str]
) -> None:
    app = "from flask import Flask\napp = Flask(__name__, static_folder='web/dist')\n"
    front_end = {f"web/{name}": content for name, content in ({"package.json": SPA} | files).items()}
    report = detect({"app.py": app, "requirements.txt": "flask\n"} | front_end)
    assert report.get("app_before_build") == commands
    assert report.get("app_build_packages") == ["nodejs", "npm"]


SPA = '{"scripts": {"build": "vite build"}}'


# Front ends that are not at the top of the app's directory, with what is found and the start of the note.
FRONT_ENDS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "above the app, which serves what it builds": (
        {
            "api/app.py": "from flask import Flask\napp = Flask(__name__, static_folder='../build', static_url_path='/')\n",
            "api/requirements.txt": "flask\n",
            "package.json": SPA,
            "package-lock.json": "",
        },
        {
            "app_subdir": "",
            "app_entry": "app:app",
            "app_requirements": "api/requirements.txt",
            "app_environment": {"PYTHONPATH": "api"},
            "app_before_build": ["npm ci", "npm run build"],
        },
        "",
    ),
    "next to the app, which serves what it builds": (
        {
            "backend/app.py": "import os\nfrom flask import Flask, send_from_directory\napp = Flask(__name__)\n"
            "DIST = os.path.join(os.path.dirname(__file__), '..', 'frontend', 'dist')\n@app.get('/')\ndef home():\n"
            "    return send_from_directory(DIST, 'index.html')\n",
            "backend/requirements.txt": "flask\n",
            "frontend/package.json": SPA,
        },
        {
            "app_subdir": "",
            "app_requirements": "backend/requirements.txt",
            "app_before_build": ["npm install --prefix frontend", "npm run build --prefix frontend"],
            "app_build_packages": ["nodejs", "npm"],
        },
        "",
    ),
    "built into the app's directory": (
        {
            "backend/app.py": FLASK,
            "backend/requirements.txt": "flask\n",
            "frontend/package.json": SPA,
            "frontend/vite.config.ts": "export default { build: { outDir: '../backend/static' } }\n",
        },
        {"app_subdir": "", "app_before_build": ["npm install --prefix frontend", "npm run build --prefix frontend"]},
        "",
    ),
    "built into the app's directory, and committed": (
        {
            "app.py": FLASK,
            "requirements.txt": "flask\n",
            "client/simple/package.json": SPA,
            "client/simple/vite.config.ts": "const PATH = { dist: '../../static/simple' }\n",
            "static/simple/site.css": "",
        },
        {"app_subdir": "", "app_before_build": None},
        "",
    ),
    "next to the app, which is an API": (
        {"backend/app.py": FLASK, "backend/requirements.txt": "flask\n", "frontend/package.json": SPA},
        {"app_subdir": "backend", "app_requirements": None, "app_before_build": None},
        "frontend/package.json: nothing of the app refers to the files of this front end. If the app serves them, a release has the "
        "app's directory only, backend. Commit what it builds",
    ),
    "below the app, which does not refer to it": (
        {"app.py": FLASK, "requirements.txt": "flask\n", "client/package.json": SPA},
        {"app_subdir": "", "app_before_build": None},
        "client/package.json: nothing of the app refers to the files of this front end. If the app serves them, add the build to "
        "app_before_build: npm install --prefix client, npm run build --prefix client.",
    ),
    "with a lock file of the app": (
        {
            "api/app.py": "from flask import Flask\napp = Flask(__name__, static_folder='../build')\n",
            "api/uv.lock": "",
            "package.json": SPA,
        },
        {"app_subdir": "api", "app_before_build": None},
        "package.json: the app serves what this front end builds, and a release has the app's directory only, api.",
    ),
}


@pytest.mark.parametrize("shape", FRONT_ENDS)
def test_a_front_end_elsewhere_is_built_or_noted(detect: Detect, shape: str) -> None:
    files, expected, start = FRONT_ENDS[shape]
    report = detect(files)
    assert {name: report.get(name) for name in expected} == expected
    notes = [note for note in report.notes if "front end" in note]
    assert [note[: len(start)] for note in notes] == ([start] if start else [])
