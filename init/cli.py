"""The command `bin/init`."""

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Set
from pathlib import Path
from typing import Any

from init import settings_file
from init.detect import (
    config_files,
    database,
    entry,
    files,
    front_end,
    health,
    processes,
    profiles,
    requirements,
    set_up,
    sockets,
    timers,
    variables,
)
from init.project import Project
from init.questions import QUESTIONS, ask, parse
from init.report import InitError, Report
from init.settings_check import ROOT, SPECS, problem, problems, role_variables, suggestion
from init.source import Source, opened
from init.start_files import read_hints

_DESCRIPTION = """Read an app's repository and write the settings of an environment, with the reason for each. No code of the app runs.
Settings that exist are never overwritten. Without a terminal, the options and the defaults are the answers."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/init", description=_DESCRIPTION)
    parser.add_argument(
        "source", metavar="REPOSITORY", help="URL of the app's git repository, or a directory of a clone"
    )
    parser.add_argument(
        "--env",
        default="production",
        metavar="NAME",
        help="name of the environment, the directory in inventory/ (default production)",
    )
    parser.add_argument("--ref", default="", help="branch, tag or commit to deploy (default: the repository's)")
    parser.add_argument("--deploy-key", default="", metavar="FILE", help="SSH private key that reads the repository")
    for question in QUESTIONS:
        parser.add_argument(f"--{question.setting.replace('_', '-')}", metavar="VALUE", help=question.text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting, instead of what is found; may be repeated",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the options and the defaults")
    parser.add_argument("--show", action="store_true", help="print the settings instead of writing them")
    return parser


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the options. Raises InitError for an unknown one or a value that is not allowed."""
    given = {}
    for question in QUESTIONS:
        if (text := getattr(options, question.setting)) is not None:
            given[question.setting] = parse(question.setting, text)
    for text in options.set:
        name, equals, value = text.partition("=")
        if not equals or (name not in SPECS and name not in role_variables()) or SPECS.get(name, {}).get("once"):
            hint = suggestion(name)
            raise InitError(f"--set {text}: expected NAME=VALUE with the name of a setting, see docs/settings.md{hint}")
        given[name] = parse(name, value) if name in SPECS else value
    if wrong := problem("environment_name", options.env):
        raise InitError(f"--env: {wrong}")
    return given


def read(project: Project, given: dict[str, Any], domain: str, report: Report) -> None:
    """Add what the repository shows to the report."""
    report.given = given
    hints = read_hints(project)
    found = entry.detect(project, hints, report, str(given.get("app_entry", "")))
    names = requirements.detect(project, found, hints, report)
    sockets.detect(project, found, hints, names, report)
    reads = variables.reads_of(project, found)
    database.detect(project, found, names, reads, report)
    files.detect(project, found, hints, report)
    config_files.detect(project, found, report)
    set_up.detect(project, found, hints, names, report)
    set_up.detect_initial_data(project, found, report)
    database.compare_with_migrations(project, report)
    front_end.detect(project, found.subdir, hints, report)
    health.detect(project, found, hints, report)
    variables.detect(project, found, hints, names, domain, reads, report)
    profiles.detect(project, found, reads, report)
    processes.detect(hints, report)
    timers.detect(project, found, report)


def _run(options: argparse.Namespace) -> int:
    given = _given(options)
    directory = ROOT / "inventory" / options.env
    if not options.show:
        settings_file.check_free(directory)
    report = Report()
    subdir = str(given.get("app_subdir", ""))
    with opened(options.source, options.ref, options.deploy_key, report, subdir) as source:
        project = Project(source)
        print(f"{source.url} at {source.ref} (commit {source.commit[:12]}), {len(project.files)} files\n")
        interactive = sys.stdin.isatty() and not options.yes
        answers = ask(source.name, given, interactive)
        read(project, given, answers["site_domain"], report)
    _add_source(source, options.deploy_key, report)
    for name, value in given.items():
        if name not in answers:
            report.findings.pop(name, None)
            report.add(name, value, "as requested")
    _check(report)
    _set_key(answers)
    _print_findings(report)
    text = settings_file.render(options.env, answers, report.findings)
    guessed = set() if interactive else answers.keys() - given.keys()
    notes = [*_notes_of_answers(answers, guessed), *report.notes]
    if options.show:
        _print_notes(notes, str(answers["app_name"]))
        print(text)
        return 0
    written = settings_file.write(options.env, text)
    print(f"Written: {', '.join(str(path.relative_to(ROOT)) for path in written)}\n")
    _print_notes([*notes, *problems(directory)], str(answers["app_name"]))
    _print_next(options.env)
    return 0


def _add_source(source: Source, key: str, report: Report) -> None:
    report.add("app_repository", source.url, "")
    report.add("app_ref", source.ref, "")
    if key:
        report.add("app_deploy_key_file", str(Path(key).expanduser().resolve()), "reads the repository")


def _check(report: Report) -> None:
    """Leave out what is not allowed as the value of a setting, with a note: a reading of code may be wrong."""
    for name, finding in list(report.findings.items()):
        if name in SPECS and (wrong := problem(name, finding.value)):
            del report.findings[name]
            report.note(f"{name} is left out: {'; '.join(filter(None, (str(finding), wrong)))}")


def _set_key(answers: dict[str, Any]) -> None:
    """Use a public key that this machine has."""
    directory = Path.home() / ".ssh"
    found = [name for name in ("id_ed25519", "id_ecdsa", "id_rsa") if (directory / f"{name}.pub").is_file()]
    if found and found[0] != "id_ed25519":
        answers |= {
            "ssh_public_key_file": f"~/.ssh/{found[0]}.pub",
            "ansible_ssh_private_key_file": f"~/.ssh/{found[0]}",
        }


def _notes_of_answers(answers: dict[str, Any], guessed: Set[str]) -> list[str]:
    """Return the notes about answers; `guessed` are those that nobody gave."""
    notes = []
    if "acme_email" in guessed:
        origin = "" if answers["acme_email"].endswith(f"@{answers['site_domain']}") else " of git's configuration"
        notes.append(
            f"acme_email is {answers['acme_email']}{origin}, which the certificate authority gets. Another one: --acme-email ADDRESS."
        )
    if answers["site_domain"].endswith(".example.com"):
        notes.append(
            f"site_domain is {answers['site_domain']}, which works in the lab only: set your domain name before you provision AWS."
        )
    if "0.0.0.0/0" in answers["ssh_allowed_cidrs"]:
        notes.append(
            "ssh_allowed_cidrs lets every address connect by SSH, where a key is needed; restrict it to yours."
        )
    return notes


def _print_findings(report: Report) -> None:
    shown = {name: finding for name, finding in report.findings.items() if str(finding) and finding.value not in ("",)}
    width = max((len(name) for name in shown), default=0)
    for name, finding in shown.items():
        print(f"  {name:{width}}  {settings_file.in_yaml(finding.value)}")
        print(textwrap.indent(textwrap.fill(str(finding), 100), " " * (width + 6)))
    print()


def _print_notes(notes: list[str], app_name: str) -> None:
    if notes:
        print("For you to do:")
        for note in notes:
            print(
                textwrap.fill(
                    re.sub(r"(/srv/|-[og] )NAME\b", rf"\g<1>{app_name}", note),
                    118,
                    initial_indent="  - ",
                    subsequent_indent="    ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
        print()


def _print_next(name: str) -> None:
    inventory = "" if name == "production" else f"-i inventory/{name} "
    print(
        f"Next, without an AWS account:  {'' if os.geteuid() == 0 else 'sudo '}bin/lab up --env {name}\n"
        f"or on AWS:  . .venv/bin/activate, then ansible-playbook {inventory}playbooks/provision.yml and ansible-playbook {inventory}site.yml"
    )


def main() -> int:
    """Run the command; return its exit status: 0 success, 1 an error (on standard error), 2 a usage error."""
    options = _parser().parse_args()
    try:
        return _run(options)
    except InitError as error:
        print(f"bin/init: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbin/init: interrupted; nothing was written.", file=sys.stderr)
        return 130
