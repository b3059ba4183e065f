"""Creates small apps as git repositories in an archive: make_apps.py DIRECTORY writes DIRECTORY/apps.tar with git/NAME."""

import subprocess
import sys
from pathlib import Path

APPLICATION = '"""A WSGI application."""\n\nimport itsdangerous\n\n\ndef app(environ, start_response):\n    return []\n'
PROJECT = '[project]\nname = "{name}"\nversion = "1.0"\ndescription = "A shop."\nrequires-python = ">=3.11"\ndependencies = ["itsdangerous"]\n'
BUILD = '[build-system]\nrequires = ["flit_core>=3.11"]\nbuild-backend = "flit_core.buildapi"\n'
SETUP = """\
from setuptools import setup

setup(
    name="shop", version="1.0", packages=["shop"], package_dir={"": "src"},
    install_requires=["itsdangerous"], extras_require={"extra": ["markupsafe"]},
)
"""
POETRY = """[tool.poetry]
name = "poetry-app"
version = "1.0"
description = ""
authors = []
package-mode = false

[tool.poetry.dependencies]
python = "^3.11"
itsdangerous = "^2.2"
"""
HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"

# Each app's files by commit; each commit adds to the previous one. "" removes a file.
APPS: dict[str, list[dict[str, str]]] = {
    "bare": [{"requirements.txt": "itsdangerous\n"}, {"README": "second"}, {"README": "third"}, {"README": "fourth"}],
    "hashed": [{"requirements.in": "itsdangerous\ngunicorn<24\n"}],
    "package": [
        {"app.py": "", "pyproject.toml": PROJECT.format(name="shop") + BUILD, "src/shop/__init__.py": APPLICATION}
    ],
    "uv": [{"pyproject.toml": PROJECT.format(name="uv-app")}],
    "poetry": [{"pyproject.toml": POETRY, "poetry.lock": (HERE / "poetry.lock").read_text()}],
    # Published without a wheel.
    "source": [{"requirements.txt": "docopt==0.6.2\nitsdangerous\n"}],
    "writes": [
        {"requirements.txt": "itsdangerous\n", "instance/notes.txt": "first\n", "static/site.css": "body {}\n"},
        {"instance/notes.txt": "second\n"},
    ],
    "index": [{"requirements.txt": "--extra-index-url http://127.0.0.1:8765\noutport-private\nitsdangerous\n"}],
    "unknown": [{"requirements.txt": "outport-has-no-such-package\n"}],
    "conflict": [{"requirements.txt": "flask==3.1.0\nwerkzeug<2\n"}],
    "syntax": [{"pyproject.toml": "[project\n"}],
    "lockless": [{}],
    "setup": [{"app.py": "", "setup.py": SETUP, "src/shop/__init__.py": APPLICATION}],
    "editable": [
        {
            "app.py": "",
            "requirements.txt": "-e .[extra]\n./next_door\n",
            "setup.py": SETUP,
            "src/shop/__init__.py": APPLICATION,
            "next_door/pyproject.toml": PROJECT.format(name="next_door") + BUILD,
            "next_door/next_door.py": "OPEN = True\n",
        }
    ],
    "workspace": [
        {
            "app.py": "",
            "pyproject.toml": PROJECT.format(name="all") + '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/core/pyproject.toml": PROJECT.format(name="core") + BUILD,
            "packages/core/core.py": "VERSION = 1\n",
            "packages/web/pyproject.toml": PROJECT.format(name="shop").replace('["itsdangerous"]', '["core"]')
            + '[dependency-groups]\nproduction = ["markupsafe"]\n[project.optional-dependencies]\nfast = ["tornado"]\n'
            + BUILD
            + "[tool.uv.sources]\ncore = { workspace = true }\n",
            "packages/web/src/shop/__init__.py": "import core\n" + APPLICATION,
        }
    ],
    "directory": [{"requirements.txt": "itsdangerous\n../next_door\n"}],
    "newer": [{"pyproject.toml": PROJECT.format(name="newer").replace(">=3.11", ">=3.99")}],
    "newer_poetry": [
        {"pyproject.toml": POETRY.replace("^3.11", "^3.99"), "poetry.lock": (HERE / "poetry.lock").read_text()}
    ],
}


def run(directory: Path, *command: str) -> None:
    """Run a command in a directory; it must succeed."""
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def commit(directory: Path, files: dict[str, str]) -> None:
    """Write an app's files and commit them, with the lock file of its kind."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            path.write_text(text)
        else:
            path.unlink()
    if directory.name in ("uv", "workspace"):
        run(directory, str(UV), "lock", "--quiet", "--no-config")
    if "requirements.in" in files:
        run(
            directory,
            str(UV),
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "requirements.in",
            "-o",
            "requirements.txt",
        )
    run(directory, "git", "add", "--all")
    author = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
    run(directory, "git", *author, "commit", "--quiet", "--message", f"Change {', '.join(files) or 'nothing'}")


def main() -> None:
    """Create all apps."""
    out = Path(sys.argv[1])
    for name, commits in APPS.items():
        directory = out / "git" / name
        directory.mkdir(parents=True)
        run(directory, "git", "init", "--quiet", "--initial-branch=main")
        (directory / "app.py").write_text(APPLICATION)
        for number, files in enumerate(commits, 1):
            commit(directory, files)
            run(directory, "git", "tag", f"v{number}")
    run(out, "tar", "--create", "--file=apps.tar", "git")


if __name__ == "__main__":
    main()
