"""Dockerfiles: the commands, variables and directories of an image, and the scripts in its here-documents."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from init.commands import BUILD, HEALTH, WEB, parse, parts, split
from init.hints import Hints
from init.project import Project
from init.report import Place
from init.scripts import read_script

_HEREDOC = re.compile(r"(?<!<)<<(-?)([\"']?)([A-Za-z_]\w*)\2")
_SHELLS = {"sh", "bash", "ash", "dash"}


@dataclass(frozen=True)
class _Instruction:
    """An instruction with its arguments, and its here-documents: the line that each begins at, and its text."""

    name: str
    rest: str
    place: Place
    documents: list[tuple[int, str]]


def read_dockerfile(project: Project, path: str, hints: Hints) -> None:
    """Add what a Dockerfile has to the hints."""
    work = PurePosixPath("/")
    for instruction in _instructions(path, project.text(path).splitlines()):
        rest, place = instruction.rest, instruction.place
        match instruction.name:
            case "FROM":
                if found := re.match(r"(?:\S+/)?python:(3\.\d+)", rest):
                    hints.pythons.append((found[1], place))
            case "WORKDIR":
                work = work / rest.strip("\"'")
            case "ENV":
                _read_env(rest, place, hints)
            case "RUN":
                _read_run(instruction, hints)
            case "COPY" | "ADD":
                _read_written(rest.split()[-1:], instruction, hints)
            case "CMD" | "ENTRYPOINT":
                hints.start(split(WEB, _exec_form(rest), place))
            case "HEALTHCHECK":
                hints.commands += split(HEALTH, _exec_form(rest.partition("CMD")[2].strip()), place)
            case "VOLUME":
                for name in _exec_form(rest).split():
                    hints.directories.append((_inside(name, work), place))


def _instructions(path: str, lines: list[str]) -> Iterator[_Instruction]:
    number = 0
    while number < len(lines):
        start, line = number + 1, lines[number]
        while line.rstrip().endswith("\\") and number + 1 < len(lines):
            number += 1
            line = (
                f"{line.rstrip()[:-1]} {lines[number].strip()}" if not lines[number].lstrip().startswith("#") else line
            )
        number += 1
        name, _, rest = line.strip().partition(" ")
        documents = []
        for dash, _, end in _HEREDOC.findall(rest) if name.upper() in ("RUN", "COPY", "ADD") else ():
            first = number
            while number < len(lines) and (lines[number].lstrip("\t") if dash else lines[number]) != end:
                number += 1
            body = [line.lstrip("\t") if dash else line for line in lines[first:number]]
            documents.append((first + 1, "\n".join(body)))
            number += 1
        yield _Instruction(name.upper(), rest.strip(), Place(path, start), documents)


def _read_run(instruction: _Instruction, hints: Hints) -> None:
    """Add the commands of a RUN, also those of a here-document for a shell, and a script that it writes."""
    command = _HEREDOC.sub("", instruction.rest)
    hints.commands += split(BUILD, command, instruction.place)
    if written := re.findall(r">\s*(\S+)|\btee\s+(\S+)", command):
        _read_written(["".join(written[0])], instruction, hints)
        return
    words = re.sub(r"--(?:mount|network|security)=\S+", "", command).split()
    for first, text in instruction.documents:
        if (not words or PurePosixPath(words[0]).name in _SHELLS) and not re.match(r"#!(?!.*sh\b)", text):
            for _, part, line in parts(text):
                hints.commands += parse(BUILD, part, Place(instruction.place.path, first + line - 1))


def _read_written(targets: list[str], instruction: _Instruction, hints: Hints) -> None:
    """Add the script of a here-document that is written to a file of the image."""
    for target in targets:
        for first, text in instruction.documents[:1]:
            if re.match(r"#!.*sh\b", text) or target.endswith(".sh"):
                read_script(PurePosixPath(target).name, text, instruction.place.path, first, hints)


def _read_env(rest: str, place: Place, hints: Hints) -> None:
    pairs = re.findall(r"([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)", rest) or re.findall(r"^([A-Za-z_]\w*)\s+(.*)$", rest)
    for name, value in pairs:
        hints.variables.setdefault(name, (value.strip("\"'"), place))


def _exec_form(text: str) -> str:
    """Return a command in Docker's JSON form as one for a shell."""
    if text.startswith("["):
        try:
            return shlex.join(json.loads(text))
        except (ValueError, TypeError):
            return ""
    return text


def _inside(path: str, work: PurePosixPath) -> str:
    """Return a path of a container relative to the app's directory in it; empty when it is not inside."""
    full = work / path
    return str(full.relative_to(work)) if full.is_relative_to(work) and full != work else ""
