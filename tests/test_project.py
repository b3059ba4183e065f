"""The project's consistency: docs, settings, lock files, and forbidden words."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import context
from ansible.cli.playbook import PlaybookCLI

from init import cli as init_cli
from lab import cli as lab_cli

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("roles/*/README.md"))]
ENVIRONMENTS = ["lab", "production"]


def load(path: str) -> Any:
    """Return a YAML file's content."""
    return yaml.safe_load((ROOT / path).read_text())


def run(*command: str) -> str:
    """Run a program of .venv, which must succeed, and return its output."""
    result = subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tracked() -> list[Path]:
    """Return the files that are, or are about to be, in git."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


# Versions


def installed_collections() -> dict[str, str]:
    """Return the version of each collection in the `ansible` package."""
    import ansible_collections

    found = {}
    for directory in ansible_collections.__path__:
        for manifest in Path(directory).glob("*/*/MANIFEST.json"):
            reported = json.loads(manifest.read_text())["collection_info"]
            found[f"{reported['namespace']}.{reported['name']}"] = reported["version"]
    return found


def used_collections() -> set[str]:
    """Return the collections that playbooks, roles, inventories and ansible.cfg use."""
    known = installed_collections()
    texts = [ROOT / "site.yml", ROOT / "ansible.cfg"]
    for pattern in (
        "playbooks/*.yml",
        "inventory/*/*.yml",
        "group_vars/all/*.yml",
        "roles/**/*.yml",
        "plugins/**/*.py",
    ):
        texts += ROOT.glob(pattern)
    # Not the modules of ansible-core itself, such as ansible.utils.display.
    pattern = r"\b(?<!from )([a-z]+\.[a-z_]+)\.[a-z_]+|\bansible_collections\.([a-z]+\.[a-z_]+)"
    words = {word for path in texts for found in re.findall(pattern, path.read_text()) for word in found}
    return words & known.keys()


def test_requirements_name_the_installed_versions_of_collections() -> None:
    named = {entry["name"]: str(entry["version"]) for entry in load("requirements.yml")["collections"]}
    installed = installed_collections()
    assert named == {name: installed[name] for name in used_collections()}


LOCKS = sorted(path.with_suffix(".txt") for path in tracked() if path.suffix == ".in")


def lock_problems(text: str) -> list[str]:
    """Return the requirements of a lock file that have no version or no hash."""
    entries = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    complete = r"[\w.\-\[\],]+==\S+( ;[^#]*?)?( --hash=sha256:[0-9a-f]{64})+\s*"
    return [entry for entry in entries if entry.strip() and not re.fullmatch(complete, entry)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_file_has_a_version_and_a_hash_for_everything(path: Path) -> None:
    text = path.read_text()
    assert text.count("==") > 0
    assert lock_problems(text) == []


def test_a_requirement_without_a_hash_is_recognised() -> None:
    digest = "0" * 64
    assert lock_problems(f"flask==3.1.0 \\\n    --hash=sha256:{digest}\n    # via app\n") == []
    assert lock_problems("flask==3.1.0\n") == ["flask==3.1.0"]
    assert lock_problems(f"flask>=3 \\\n    --hash=sha256:{digest}\n") != []


# Docs


def test_the_tables_of_the_docs_are_up_to_date() -> None:
    run("python", "docs/generate.py", "--check")


def test_a_stale_table_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = tmp_path / "README.md"
    page.write_text(f"# sample\n\n{generate.BEGIN}old\n{generate.END}\nafter\n")
    monkeypatch.setattr(generate, "pages", lambda: {page: "new"})
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["bin/docs", "--check"])
    with pytest.raises(SystemExit, match="run bin/docs"):
        generate.main()
    monkeypatch.setattr("sys.argv", ["bin/docs"])
    generate.main()
    assert page.read_text() == "new"


@pytest.mark.parametrize("page", sorted(ROOT.glob("roles/*/README.md")), ids=lambda page: page.parent.name)
def test_a_roles_readme_fits_a_screen(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.parent.name}\n")
    # Without the table of its variables.
    assert len(re.sub(r"<!-- table.*?<!-- /table -->", "", text, flags=re.DOTALL).splitlines()) <= 25


def test_each_role_has_a_readme() -> None:
    assert [path.name for path in sorted(ROOT.glob("roles/*")) if not (path / "README.md").is_file()] == []


def links(page: Path) -> list[str]:
    """Return the targets of a page's links inside the project."""
    return [
        target for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()) if not re.match(r"https?:|mailto:", target)
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_existing_targets(page: Path) -> None:
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def commands(page: Path) -> list[str]:
    """Return the project's commands on a page: in shell blocks, and between backticks."""
    text = page.read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    parts = [part.strip().removeprefix("sudo ") for line in lines for part in re.split(r"&&|\$\(|\)", line)]
    return [part.rstrip('"') for part in parts if re.match(r"(bin/\w|ansible-playbook )", part)]


def parse(parser: argparse.ArgumentParser, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return a parser's error for these arguments; empty when they are valid."""
    try:
        parser.parse_args(words)
    except SystemExit as end:
        return f"{' '.join(words)}: {capsys.readouterr().err}" if end.code else ""
    return ""


def command_problems(command: str, created: set[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the errors of a command: files, subcommands and options that don't exist. `created` are files of earlier commands."""
    program, *words = shlex.split(command)
    if program == "ansible-playbook":
        before = context.CLIARGS
        parser = PlaybookCLI([program, *words])
        parser.init_parser()
        problem = parse(parser.parser, words, capsys)
        context.CLIARGS = before
        if problem:
            return [problem]
        options = parser.parser.parse_args(words)
        files = [*options.args, *(options.inventory or [])]
        problems = [f"{file}: no such file" for file in files if file not in created and not (ROOT / file).exists()]
        settings = load("roles/settings/files/spec.yml")
        given = [word.split("=")[0] for word in options.extra_vars if "=" in word]
        return problems + [f"{name}: no such setting" for name in given if name not in settings]
    if not os.access(ROOT / program, os.X_OK):
        return [f"{program}: no such program"]
    if program == "bin/lab" and words:
        return [problem for problem in [parse(lab_cli._parser(), words, capsys)] if problem]
    if program == "bin/init" and words:
        return [problem for problem in [parse(init_cli._parser(), words, capsys)] if problem]
    # The other programs' arguments appear in their short scripts.
    known = "".join(path.read_text() for path in program_files(program))
    return [f"{program}: no '{word}' in it" for word in words if word.strip("-") not in known]


def program_files(program: str) -> list[Path]:
    """Return a program of bin/, and the Python file that it starts."""
    text = (ROOT / program).read_text()
    started = re.findall(r"\b\w+/\w+\.py\b", text.replace("$here/", ""))
    return [ROOT / program, *(ROOT / name for name in started)]


def problems_of(page: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the errors of a page's commands."""
    created = set(re.findall(r"^cp -r \S+ (\S+)$", page.read_text(), re.MULTILINE))
    return [problem for command in commands(page) for problem in command_problems(command, created, capsys)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems_of(page, capsys) == []


def test_the_readme_shows_the_ways_to_start() -> None:
    shown = commands(ROOT / "README.md")
    for command in (
        "bin/lab up",
        "bin/lab up --env production",
        "ansible-playbook playbooks/provision.yml",
        "ansible-playbook site.yml",
    ):
        assert command in shown


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("bin/lab upp", "invalid choice: 'upp'"),
        ("bin/lab up --host 2 --fast", "unrecognized arguments"),
        ("bin/labs up", "bin/labs: no such program"),
        ("bin/init ../shop --environment shop", "unrecognized arguments"),
        ("bin/docs --chekc", "no '--chekc' in it"),
        ("ansible-playbook sites.yml", "sites.yml: no such file"),
        ("ansible-playbook -i inventory/staging site.yml", "inventory/staging: no such file"),
        ("ansible-playbook site.yml --chekc", "unrecognized arguments"),
        ("ansible-playbook site.yml -e app_reff=main", "app_reff: no such setting"),
    ],
)
def test_a_command_that_does_not_exist_is_recognised(
    command: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in " ".join(command_problems(command, set(), capsys))


def test_the_readme_lists_the_directories() -> None:
    listed = set(re.findall(r"`([a-z_]+)/`", (ROOT / "README.md").read_text()))
    directories = {path.relative_to(ROOT).parts[0] for path in tracked() if len(path.relative_to(ROOT).parts) > 1}
    assert {name for name in directories if not name.startswith(".")} <= listed


def test_the_readme_lists_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [path.name for path in sorted((ROOT / "bin").iterdir()) if f"`bin/{path.name}`" not in text] == []


def test_the_lab_page_explains_every_command() -> None:
    text = (ROOT / "docs/lab.md").read_text()
    (choices,) = [action.choices for action in lab_cli._parser()._actions if isinstance(action.choices, dict)]
    assert [name for name in choices if f"| `bin/lab {name}" not in text] == []


# Environments


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_settings_file_has_at_most_40_lines_and_a_comment_each(name: str) -> None:
    lines = (ROOT / f"inventory/{name}/group_vars/all.yml").read_text().splitlines()
    assert len(lines) <= 40
    settings = [line for line in lines if not line.startswith(("#", "ansible_"))]
    assert [line for line in settings if not re.search(r"\S +# \S", line)] == []


def test_environments_have_the_same_settings() -> None:
    lab, production = (load(f"inventory/{name}/group_vars/all.yml") for name in ENVIRONMENTS)
    # The lab's host keys are new at each start, and in a separate file.
    assert [key for key in lab if key != "ansible_ssh_common_args"] == list(production)


def test_environments_have_the_same_dynamic_inventory() -> None:
    lab, production = ((ROOT / f"inventory/{name}/aws_ec2.yml").read_text() for name in ENVIRONMENTS)
    assert lab == production


def test_a_play_below_playbooks_sees_the_wiring() -> None:
    reported = run(
        "ansible",
        *("localhost", "--playbook-dir", "playbooks", "-m", "ansible.builtin.debug", "-a", "var=metrics_namespace"),
        *("-i", "localhost,", "-e", "app_name=shop", "-e", "environment_name=staging"),
    )
    assert "Outport/shop-staging" in reported


# Forbidden words


def forbidden() -> dict[str, str]:
    """Return forbidden patterns with the reason; each is composed here, so that this file contains none of them."""
    hosts = ["pypi" + r"\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", "deb" + r"\.debian\.org"]
    return {
        "|".join(hosts): "names a package registry's host",
        "/work" + "/": "names a directory of one machine",
        r"\|\| " + r"true\b": "swallows a failure",
        r"\bignore" + "_errors:": "swallows a failure",
        r"failed_when: " + r"false\b": "swallows a failure",
        r"# no" + r"qa\b": "silences a linter",
        r"pytest\." + r"(mark\.)?(skip|skipif|importorskip|xfail)\b": "is a test that cannot fail",
        r"(?i)taken b"
        + r"ack|last w"
        + r"ords|by the cl"
        + r"ock|what serv"
        + r"ed before|let people i"
        + "n": "is not the field's term",
        r"(?i)(takes?|gives?) the lock\b|lock b"
        + r"ack\b|prove[sd]? its"
        + r"elf|how things st"
        + "and": "is not the field's term",
    }


def found_in(text: str) -> list[str]:
    """Return the forbidden words of a text, with their lines."""
    return [
        f"line {number} {why}: {line.strip()[:80]}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, why in forbidden().items()
        if re.search(pattern, line)
    ]


def test_no_file_has_a_forbidden_word() -> None:
    problems = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            problems += [f"{path.relative_to(ROOT)} {problem}" for problem in found_in(content.decode())]
    assert problems == []


@pytest.mark.parametrize(
    "text",
    [
        "https://files.python" + "hosted.org/x",
        "index-url = https://pypi" + ".org/simple",
        "cd /work" + "/main",
        "ruff check |" + "| true",
        "  ignore" + "_errors: true",
        "  failed_when: " + "false",
        "import x  # no" + "qa: E402",
        "@pytest.mark." + "skipif(True)",
        "the release was taken b" + "ack",
        "- name: Take the lo" + "ck",
    ],
)
def test_a_forbidden_word_is_recognised(text: str) -> None:
    assert len(found_in(text)) == 1
