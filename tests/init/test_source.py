"""The repository that is read: its commits, and files that cannot be read."""

from pathlib import Path

import pytest
from support import catalogue
from support.detection import FLASK, Detect, read

from init.report import InitError, Report
from init.settings_check import problem
from init.source import opened


@pytest.mark.parametrize("shape", ["yes", "{test: 1}", "[1]"])
def test_odd_files_are_no_obstacle(detect: Detect, shape: str) -> None:
    odd = {
        "compose.yaml": f"services: {{web: {{build: ., healthcheck: {shape}, command: {shape}, volumes: {shape}, environment: {shape}}}}}\n",
        "Procfile": "\ufeffweb: gunicorn app:app\r\n",
        "deep.py": "x = " + "(" * 5000 + ")" * 5000 + "\n",
        "chain.py": "x = a" + ".b" * 20000 + "\n",
        "sum.py": "x = 1" + " + 1" * 50000 + "\n",
        "names.py": "import os\nx = os.environ['A']\n" + "x = x or g(x)\n" * 2000,
        "start.sh": "f0() { flask a; }\n"
        + "".join(f"f{n}() {{ {f'f{n - 1}; ' * 10} }}\n" for n in range(1, 9))
        + "f8\n./start.sh\n" * 9
        + "if; then ;; esac } ) done <<X\n",
        "entrypoint.sh": "gunicorn app:app\n" * 50000,
        "latin.py": "# -*- coding: latin-1 -*-\nx = 1\n",
    }
    report = detect({"app.py": f"\ufeff{FLASK}", "requirements.txt": "\ufeffflask\n", **odd})
    assert report.get("app_entry") == "app:app"


def test_a_file_that_cannot_be_parsed_is_named(detect: Detect) -> None:
    with pytest.raises(InitError, match=r"No app was found(.|\n)*app\.py:2 can't be parsed as Python\."):
        detect({"app.py": "from flask import Flask\napp = Flask(\n", "requirements.txt": "flask\n"})


def test_what_is_not_committed_is_not_read(detect: Detect, tmp_path: Path) -> None:
    detect({"app.py": FLASK, "requirements.txt": "flask\n"})
    (tmp_path / "app/app.py").write_text("broken(\n")
    report = read(tmp_path / "app")
    assert report.get("app_entry") == "app:app"
    assert [note for note in report.notes if "changes that are not committed" in note]


def test_a_bare_repository_and_a_ref_are_read(tutorial: Path, tmp_path: Path) -> None:
    catalogue.run(tutorial, "git", "tag", "v1")
    catalogue.run(tmp_path, "git", "clone", "--quiet", "--bare", str(tutorial), "bare.git")
    with opened(str(tmp_path / "bare.git"), "v1", "", Report()) as source:
        assert "flaskr/__init__.py" in source.files
        assert source.ref == "v1"


def test_a_url_is_cloned_and_its_credentials_are_left_out(tutorial: Path) -> None:
    report = Report()
    with opened(f"file://{tutorial}", "", "", report) as source:
        assert source.name == "tutorial"
        assert source.ref == "main"
        assert source.top != tutorial
    assert not source.top.exists()
    catalogue.run(tutorial, "git", "remote", "add", "origin", "https://user:token@git.example.org/shop.git")
    with opened(str(tutorial), "", "", report) as source:
        assert source.url == "https://git.example.org/shop.git"
        assert source.name == "shop"
    assert "token" not in source.url
    assert [note for note in report.notes if "app_repository_token" in note]


def test_a_directory_may_have_a_name_with_a_space(tutorial: Path) -> None:
    directory = tutorial.rename(tutorial.with_name("my shop"))
    with opened(str(directory), "", "", Report()) as source:
        assert source.url == f"file://{directory.parent}/my%20shop"
        assert source.name == "my shop"
        assert problem("app_repository", source.url) == ""
        url = source.url
    with opened(url, "", "", Report()) as source:
        assert "flaskr/__init__.py" in source.files


@pytest.mark.parametrize("origin", ["", "../board", "/srv/git/board.git"])
def test_a_repository_without_a_git_server_is_fetched_from_its_directory(tutorial: Path, origin: str) -> None:
    if origin:
        catalogue.run(tutorial, "git", "remote", "add", "origin", origin)
    for directory in (str(tutorial), f"file://{tutorial}"):
        report = Report()
        with opened(directory, "", "", report) as source:
            assert source.url == f"file://{tutorial}"
            assert problem("app_repository", source.url) == ""
        assert report.notes == [
            f"app_repository is file://{tutorial}, a directory of this machine. The lab fetches the app from it; "
            "hosts on AWS need a git server: push it, and set app_repository."
        ]
