"""bin/init: the environment that it writes, its questions, and what it refuses."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import catalogue
from support.detection import FLASK

from init import cli, questions, settings_file
from init.settings_check import SPECS, problem


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the settings of a new clone, where environments are written."""
    root = tmp_path / "outport"
    production = root / "inventory/production"
    (production / "group_vars").mkdir(parents=True)
    (production / "group_vars/all.yml").write_text((settings_file.TEMPLATE / "all.yml").read_text())
    (production / "aws_ec2.yml").write_text((settings_file.TEMPLATE / "aws_ec2.yml").read_text())
    for module in (cli, settings_file):
        monkeypatch.setattr(module, "ROOT", root)
    return root


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command without a terminal."""
    monkeypatch.setattr(sys, "argv", ["bin/init", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return cli.main()


def test_an_environment_is_written_with_valid_settings(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = project / "key.pub"
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0lQXv1pY0m0v4v3n2QnB3m7b2cJ1x6rC7w8m9k0aZt test")
    answers = (
        "--site-domain",
        "notes.example.org",
        "--aws-region",
        "us-east-1",
        "--ssh-allowed-cidrs",
        "203.0.113.7/32, 203.0.113.9/32",
    )
    assert (
        run(
            monkeypatch,
            tutorial,
            "--env",
            "notes",
            *answers,
            "--set",
            f"ssh_public_key_file={key}",
            "--set",
            "app_health_path=/about",
        )
        == 0
    )
    text = (project / "inventory/notes/group_vars/all.yml").read_text()
    written = yaml.safe_load(text)
    assert written["environment_name"] == "notes"
    assert written["app_name"] == "tutorial"
    assert written["site_domain"] == "notes.example.org"
    assert written["ssh_allowed_cidrs"] == ["203.0.113.7/32", "203.0.113.9/32"]
    assert written["app_health_path"] == "/about"
    assert written["database"] == "none"
    assert not [name for name in written if name.startswith("database_")]
    assert "app_entry: flaskr:create_app() # flaskr/__init__.py:8: create_app() creates the Flask app\n" in text
    assert len(text.splitlines()) <= 40
    assert written["aws_region"] == "us-east-1"
    inventory = (project / "inventory/notes/aws_ec2.yml").read_text()
    assert inventory == (cli.ROOT / "inventory/production/aws_ec2.yml").read_text()
    output = capsys.readouterr().out
    assert "bin/lab up --env notes" in output
    assert "Allowed:" not in output


def test_an_email_address_that_nobody_gave_is_named(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Before the configuration of the clone that the tests run in, which may have an address too.
    for name, value in (("COUNT", "1"), ("KEY_0", "user.email"), ("VALUE_0", "operator@example.net")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert run(monkeypatch, tutorial, "--yes", "--show") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "acme_email is operator@example.net of git's configuration, which the certificate authority gets" in shown
    assert run(monkeypatch, tutorial, "--yes", "--show", "--acme-email", "ops@example.org") == 0
    assert "which the certificate authority gets" not in " ".join(capsys.readouterr().out.split())


def test_settings_that_exist_are_not_overwritten(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tutorial, "--yes") == 0
    file = project / "inventory/production/group_vars/all.yml"
    before = file.read_text()
    assert run(monkeypatch, tutorial, "--yes", "--app-name", "other") == 1
    assert (
        "inventory/production has settings already, and they are not overwritten. Choose another name: --env NAME"
        in capsys.readouterr().err
    )
    assert file.read_text() == before


def test_settings_of_one_environment_do_not_change_another(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, tutorial, "--yes", "--set", "web_count=3", "--set", "nginx_body_max=90m") == 0
    (project / "inventory/production/aws_ec2.yml").unlink()
    assert run(monkeypatch, tutorial, "--yes", "--env", "board", "--set", "database=mysql") == 0
    first, second = (
        yaml.safe_load((project / "inventory" / name / "group_vars/all.yml").read_text())
        for name in ("production", "board")
    )
    assert (first["database"], first["web_count"], first["nginx_body_max"]) == ("none", 3, "90m")
    assert (second["web_count"], "nginx_body_max" in second) == (1, False)
    assert {name for name in second if name.startswith("database_")} == {
        "database_instance_class",
        "database_storage_gb",
        "database_deletion_protection",
        "database_ca_url",
    }
    assert (project / "inventory/board/aws_ec2.yml").is_file()


@pytest.mark.parametrize(("name", "of_production"), [("all.yml", "group_vars/all.yml"), ("aws_ec2.yml", "aws_ec2.yml")])
def test_the_template_of_the_settings_is_production_of_a_new_clone(name: str, of_production: str) -> None:
    production = cli.ROOT / "inventory/production" / of_production
    assert (settings_file.TEMPLATE / name).read_text() == production.read_text()


def test_an_address_that_hosts_cannot_use_is_left_out(
    project: Path, tutorial: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.run(tutorial, "git", "remote", "add", "origin", "server:shop.git")
    assert run(monkeypatch, tutorial, "--yes", "--show") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert 'app_repository is left out: found "server:shop.git". Allowed: the URL of a git repository' in shown
    assert "or a password; app_repository_token is for those" in shown


def test_texts_of_the_settings_have_no_line_continuations() -> None:
    assert [name for name, spec in SPECS.items() if "\\" in spec["expected"] + spec["description"]] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ref", "nosuch"], "has no branch, tag or commit 'nosuch'"),
        (["--ref=--upload-pack=x"], '--ref: found "--upload-pack=x"'),
        (["--site-domain", "Example.com"], 'site_domain: found "Example.com". Allowed: a domain name in lower case'),
        (["--env", "Production"], '--env: found "Production"'),
        (["--set", "app_health=/x"], "--set app_health=/x: expected NAME=VALUE with the name of a setting"),
        (["--set", "app_helth_path=/x"], "see docs/settings.md; did you mean app_health_path?"),
        (["--set", "gunicorn_worker=1"], "see docs/settings.md; did you mean gunicorn_workers?"),
        (["--set", "ref=main"], "--set ref=main: expected NAME=VALUE"),
        (["--set", "app_timeout=soon"], "app_timeout: found"),
        (["--ssh-allowed-cidrs", "203.0.113.7"], "ssh_allowed_cidrs: found"),
    ],
)
def test_an_invalid_answer_is_refused_before_anything_is_written(
    project: Path,
    tutorial: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, tutorial, *arguments) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in (project / "inventory").iterdir()] == ["production"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nowhere", "is neither a directory nor the URL of a git repository"),
        (lambda path: path, "has no commits, and the hosts fetch the app from git"),
        (lambda path: f"file://{path}/nowhere", "was not fetched:"),
        (lambda path: "", "'' is neither a directory nor the URL"),
    ],
)
def test_a_repository_that_cannot_be_read_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Any],
    message: str,
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert run(monkeypatch, make(tmp_path), "--env", "shop") == 1
    assert message in capsys.readouterr().err


def test_one_of_two_apps_is_chosen_by_its_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / "apps" / name).mkdir(parents=True)
        (tmp_path / "apps" / name / f"{name}.py").write_text(FLASK)
        (tmp_path / "apps" / name / "requirements.txt").write_text("flask\n")
    catalogue.run(tmp_path / "apps", "git", "init", "--quiet")
    catalogue.commit(tmp_path / "apps", "Add two apps")
    assert run(monkeypatch, f"file://{tmp_path}/apps", "--env", "two", "--set", "app_subdir=two") == 0
    written = yaml.safe_load((project / "inventory/two/group_vars/all.yml").read_text())
    assert (written["app_subdir"], written["app_entry"]) == ("two", "two:app")


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("Shop", "shop"),
        ("my_Flask.App", "my-flask-app"),
        ("2048-game", "game"),
        ("nginx", "nginx-app"),
        ("a-very-long-name-of-a-repository", "a-very-long-name-of"),
    ],
)
def test_the_name_of_the_app_is_one_that_is_allowed(repository: str, name: str) -> None:
    answers = questions.ask(repository, {}, interactive=False)
    assert answers["app_name"] == name
    assert {setting: problem(setting, value) for setting, value in answers.items() if problem(setting, value)} == {}
    assert len(questions.QUESTIONS) <= 6


def test_questions_are_asked_again_until_the_answer_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["Shop\n", "shop\n", "\n", "\n", "\n", "\n", "10.0.0.0/8 192.0.2.0/24\n"])
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"readline": lambda self: next(lines)})())
    answers = questions.ask("repository", {}, interactive=True)
    assert answers["app_name"] == "shop"
    assert answers["site_domain"] == "shop.example.com"
    assert answers["ssh_allowed_cidrs"] == ["10.0.0.0/8", "192.0.2.0/24"]
    assert 'app_name: found "Shop"' in capsys.readouterr().out


def test_the_program_runs() -> None:
    done = subprocess.run([cli.ROOT / "bin/init", "--help"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "Settings that exist are never overwritten" in " ".join(done.stdout.split())
