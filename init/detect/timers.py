"""Commands that a crontab in the repository schedules."""

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from init.commands import PYTHONS, Command, split
from init.detect import steps
from init.detect.entry import Entry
from init.project import Project
from init.report import Place, Report
from init.settings_check import calendar, problem

_FILES = r"crontab(?:[._-][\w-]+)?|[\w.-]+\.cron(?:tab)?|cron(?:jobs?)?\.txt|(?!README)[\w-]+"
_DIRECTORY = re.compile(r"(?:^|/)cron\.(?:d|hourly|daily|weekly|monthly)/")
_LINE = re.compile(r"(@[a-z]+|(?:[\d*,/-]+\s+){4}[\d*,/a-zA-Z-]+)\s+(\S.*)")
# Users of a line of cron.d, and of a crontab of an image.
_USER = re.compile(r"(?:root|www-data|nobody|ubuntu|admin|deploy|app|web|www|user|appuser)\s+(?=\S)")
_KEYWORDS = {"@midnight": "daily", "@annually": "yearly"}
_BINARIES = {"bin", "sbin"}
_DESCRIBES = {"daily", "hourly", "weekly", "monthly"}


def detect(project: Project, entry: Entry, report: Report) -> None:
    """Note each line of a crontab, with the setting that runs its command."""
    names: set[str] = set()
    for path in project.named(_FILES):
        if not ("cron" in PurePosixPath(path).name or _DIRECTORY.search(path)):
            continue
        for number, line in enumerate(project.text(path).splitlines(), 1):
            found = _LINE.fullmatch(line.strip())
            if found and not (entry.subdir and _is_of_another(project, entry, path)):
                _note(project, entry, found[1], found[2], Place(path, number), names, report)


def _is_of_another(project: Project, entry: Entry, path: str) -> bool:
    """Return whether a file belongs to another app of the repository."""
    directory = PurePosixPath(path).parent
    above = [str(parent) for parent in (directory, *directory.parents) if str(parent) != "."]
    return any(steps.has_requirements(project, one) and one != entry.subdir for one in above)


def _note(project: Project, entry: Entry, when: str, text: str, place: Place, names: set[str], report: Report) -> None:
    if when == "@reboot":
        report.note(
            f"'{text}' is started by cron. If it is a process of the app, add it to app_single_processes.",
            place,
            unless="app_single_processes",
        )
        return
    text = _USER.sub("", text, count=1) if not _DIRECTORY.search(place.path) else text.partition(" ")[2].strip()
    # % is a line break of cron's.
    command = " && ".join(_commands(project, entry, re.sub(r"(?<!\\)%.*", "", text).replace("\\%", "%"), place, report))
    schedule = calendar(" ".join(when.split())) if when[0] != "@" else _KEYWORDS.get(when, when[1:])
    name = _name(command, names)
    names.add(name)
    example = {name: {"command": command, "calendar": schedule}}
    if not command or not schedule or problem("app_timers", example):
        shown = (
            "as two timers, one for the day of the month and one for the weekday"
            if not schedule
            else "in systemd's notation"
        )
        report.note(f"cron runs '{text}' at '{when}'. Add it to app_timers, {shown}.", place, unless="app_timers")
        return
    setting = f"{{{name}: {{command: {_quoted(command)}, calendar: {_quoted(schedule)}}}}}"
    report.note(f"cron runs '{text}'. Add it to app_timers: {setting}", place, unless="app_timers")


def _commands(project: Project, entry: Entry, text: str, place: Place, report: Report) -> Iterator[str]:
    """Yield the commands of a line as a host has them: in the app's directory, with the log in the journal."""
    for command in split("cron", text, place):
        words = list(command.words)
        end = next((number for number, word in enumerate(words) if re.match(r"(?:\d|&)?>|\|", word)), len(words))
        words = [_local(project, entry, word) for word in words[:end]]
        if words and words[0] not in ("cd", ".", "source", "export"):
            clean = Command(command.name, tuple(words), shlex.join(words), place)
            yield steps.command_text(clean, entry, report)


def _local(project: Project, entry: Entry, word: str) -> str:
    """Return a word with the path of a program or a file of the app elsewhere as one of a release."""
    path = PurePosixPath(word)
    if not path.is_absolute():
        return word
    if path.parent.name in _BINARIES:
        return path.name
    tails = (PurePosixPath(*path.parts[number:]) for number in range(1, len(path.parts)))
    return next((str(tail) for tail in tails if project.has(PurePosixPath(entry.subdir) / tail)), word)


def _name(command: str, names: set[str]) -> str:
    """Return a name for a timer, by the last word of its command that is no option."""
    words = [word for word in re.split(r"\s+", command) if word and not re.match(r"[-'\"&|]", word)]
    own = [word for word in words if PurePosixPath(word).name not in (*PYTHONS, "flask", *_DESCRIBES)]
    stem = re.sub(r"\.(?:py|sh)$", "", PurePosixPath((own or ["timer"])[-1]).name).rpartition(".")[2]
    name = re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "-", stem.lower())).strip("-")[:17].rstrip("-") or "timer"
    name = "timer" if name in ("web", "") or len(name) < 2 else name
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 99)), "timer") if one not in names)


def _quoted(text: str) -> str:
    """Return a text for YAML, in quotes where it needs them."""
    return (
        text
        if re.fullmatch(r"[A-Za-z][\w ./=-]*", text)
        else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
