"""What the repository can't show: at most six questions, each with a default and an option of the command."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from init.report import InitError
from init.settings_check import problem

_LONGEST_NAME = 20


@dataclass(frozen=True)
class Question:
    """A question for the value of a setting; `default` gets the repository's name and the answers so far."""

    setting: str
    text: str
    default: Callable[[str, Mapping[str, Any]], Any]


def _app_name(repository: str, answers: Mapping[str, Any]) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", repository.lower()).strip("-")
    name = re.sub(r"^[0-9-]+", "", name)[:_LONGEST_NAME].strip("-") or "app"
    return name if not problem("app_name", name) else f"{name[: _LONGEST_NAME - 4]}-app"


def _email(repository: str, answers: Mapping[str, Any]) -> str:
    done = subprocess.run(["git", "config", "--get", "user.email"], capture_output=True, text=True, check=False)
    email = done.stdout.strip()
    return email if email and not problem("acme_email", email) else f"admin@{answers['site_domain']}"


QUESTIONS = (
    Question("app_name", "Name of the app, its service and its resources in AWS", _app_name),
    Question(
        "site_domain", "Domain name of the site", lambda _repository, answers: f"{answers['app_name']}.example.com"
    ),
    Question(
        "dns_zone", 'Route 53 zone for its A record ("" when DNS is hosted elsewhere)', lambda _repository, _answers: ""
    ),
    Question("acme_email", "E-mail address for the certificate authority", _email),
    Question(
        "aws_region",
        "AWS region",
        lambda _repository, _answers: (
            os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "eu-west-1"
        ),
    ),
    Question(
        "ssh_allowed_cidrs",
        "Address ranges that may connect by SSH, with a key",
        lambda _repository, _answers: ["0.0.0.0/0"],
    ),
)


def parse(setting: str, text: str) -> Any:
    """Return the value of a setting from an option or an answer. Raises InitError when it is not allowed."""
    kind = _kind(setting)
    value: Any = text
    if kind in ("list", "dict", "bool", "int"):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if kind == "list" and isinstance(value, str):
            value = [entry for entry in re.split(r"[\s,]+", value) if entry]
    elif text in ('""', "''"):
        value = ""
    if wrong := problem(setting, value):
        raise InitError(f"{setting}: {wrong}")
    return value


def _kind(setting: str) -> str:
    from init.settings_check import SPECS

    return str(SPECS[setting]["type"])


def ask(repository: str, given: Mapping[str, Any], interactive: bool) -> dict[str, Any]:
    """Return the answers: those given by options, else asked for at a terminal, else the defaults."""
    answers: dict[str, Any] = {}
    for question in QUESTIONS:
        if question.setting in given:
            answers[question.setting] = given[question.setting]
            continue
        default = question.default(repository, answers)
        answers[question.setting] = _prompt(question, default) if interactive else default
    return answers


def _prompt(question: Question, default: Any) -> Any:
    shown = ", ".join(default) if isinstance(default, list) else default or '""'
    while True:
        print(f"{question.text} [{shown}]: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise InitError("The input ended. Without a terminal, pass the options: bin/init --help")
        if not line.strip():
            return default
        try:
            return parse(question.setting, line.strip())
        except InitError as error:
            print(f"  {error}")
