"""The module install_files: a set of files, installed at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parent.parent / "plugins/modules/install_files.py"


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    """Return two files and a program, below directories that do not exist."""
    files = [
        ("a/b/one.conf", "première\n", None),
        ("a/two.conf", "{{ two }}\n", None),
        ("bin/run", "#!/bin/sh\n", "0755"),
    ]
    return {"files": [{"path": f"{tmp_path}/{name}", "content": text, "mode": mode} for name, text, mode in files]}


def run(arguments: dict[str, Any], **options: bool) -> dict[str, Any]:
    """Run the module and return its result."""
    internal = {f"_ansible_{name}": value for name, value in options.items()}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": arguments | internal})
    done = subprocess.run([sys.executable, MODULE], input=text, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)


def test_files_are_installed_with_their_directories_and_modes(tmp_path: Path, arguments: dict[str, Any]) -> None:
    assert run(arguments)["changed_files"] == [file["path"] for file in arguments["files"]]
    for file in arguments["files"]:
        assert Path(file["path"]).read_text() == file["content"]
        assert f"{Path(file['path']).stat().st_mode:o}" == f"10{file['mode'] or '0644'}"
    assert f"{(tmp_path / 'a/b').stat().st_mode:o}" == "40755"
    assert run(arguments)["changed"] is False


@pytest.mark.parametrize("damage", ["content", "mode", "link"])
def test_a_file_that_differs_is_repaired(tmp_path: Path, arguments: dict[str, Any], damage: str) -> None:
    run(arguments)
    path = tmp_path / "a/two.conf"
    if damage == "content":
        path.write_text("changed\n")
    elif damage == "mode":
        path.chmod(0o600)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    result = run(arguments, check_mode=True, diff=True)
    assert result["changed_files"] == [str(path)]
    (difference,) = result["diff"]
    assert difference["before"] != difference["after"]
    # Check mode changed nothing.
    assert run(arguments)["changed_files"] == [str(path)]
    assert (path.read_text(), path.is_symlink(), path.stat().st_mode & 0o777) == ("{{ two }}\n", False, 0o644)
    assert sorted(child.name for child in (tmp_path / "a").iterdir()) == ["b", "two.conf"]


def test_check_mode_creates_nothing(tmp_path: Path, arguments: dict[str, Any]) -> None:
    result = run(arguments, check_mode=True)
    assert result["changed"] is True
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_installed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = {"path": f"{tmp_path}/file/below", "content": "text"}
    assert f"{tmp_path}/file/below was not installed: File exists: {tmp_path}/file." in run({"files": [below]})["msg"]
    assert "must be octal digits, such as '0644'; found 'u+x'" in run({"files": [below], "mode": "u+x"})["msg"]


def test_the_mode_is_that_of_the_set_or_the_files_own(arguments: dict[str, Any]) -> None:
    run(arguments | {"mode": "0600"})
    modes = [f"{Path(file['path']).stat().st_mode & 0o777:o}" for file in arguments["files"]]
    assert modes == ["600", "600", "755"]
