"""The launcher: a program gets the secrets in its environment, but /proc does not show them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REPORT = """\
import json, os, sys
with open("/proc/self/environ", "rb") as file:
    shown = b"API_TOKEN" in file.read()
print(json.dumps([os.environ.get("API_TOKEN"), shown, sys.argv[1:]]))
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with a script, a module and a file that report their environment, and a launcher with the secret `hush`."""
    programs, app = tmp_path / "release/venv/bin", tmp_path / "release/app"
    programs.mkdir(parents=True)
    app.mkdir()
    (programs / "python").symlink_to(Path(sys.executable).resolve())
    (programs / "report").write_text(f"#!{programs}/python\n{REPORT}")
    (programs / "report").chmod(0o755)
    (app / "reporter.py").write_text(REPORT)
    (tmp_path / "release/secrets.json").write_text("{}")
    shutil.copy(ROOT / "roles/python_app/files/launcher/launch", tmp_path / "launch")
    (tmp_path / "decrypt").write_text("""print('{"API_TOKEN": "hush"}')\n""")
    return tmp_path / "release"


@pytest.mark.parametrize("command", ["report", "python -m reporter", "python reporter.py"])
def test_a_secret_does_not_appear_in_proc(release: Path, command: str) -> None:
    commands = {"web": f"{command} --config 'a b'"}
    (release / "processes.json").write_text(json.dumps({"processes": commands}))
    reported = subprocess.run(
        [release / "venv/bin/python", release.parent / "launch", "web"],
        cwd=release / "app",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert json.loads(reported) == ["hush", False, ["--config", "a b"]]


@pytest.mark.parametrize("arguments", [[], ["/srv/nothing"], ["/srv/nothing", "flask", "--version"]])
def test_run_shows_its_usage(arguments: list[str]) -> None:
    """The command of docs/your-app.md, without an app to run in."""
    command = ["sh", ROOT / "roles/python_app/files/launcher/run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "/srv/NAME COMMAND" in done.stderr
