"""Commands of a shell, and what the command of a web server says."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from init.report import Place

# The role of a command that has no name.
WEB, BUILD, RELEASE, HEALTH = "web", "build", "release", "health"
# The variable with arguments of gunicorn.
ARGUMENTS = "GUNICORN_CMD_ARGS"
# The start of a block that is a condition.
CONDITION = "condition"
# No script that a person writes has more.
MOST_COMMANDS = 1000
_SERVERS = {"gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "uwsgi", "flask", "fastapi"}
# Programs that run another one.
_WRAPPERS = {
    "exec",
    "env",
    "dumb-init",
    "tini",
    "--",
    "nohup",
    "time",
    "newrelic-admin",
    "run-program",
    "ddtrace-run",
    "-g",
}
# Programs that run another one as the user of their first argument.
_CHANGERS = {"gosu", "su-exec"}
PYTHONS = {"python", "python3"}
# Programs that are started as modules, too.
_MODULES = {f"-m {name}" for name in ("gunicorn", "uvicorn", "hypercorn", "daphne", "flask", "celery")}
_RUNNERS = {"poetry", "uv", "pipenv", "pdm", "rye", "hatch"}
_FLAGS = {
    "--reload",
    "--preload",
    "--daemon",
    "-D",
    "--capture-output",
    "-R",
    "--enable-stdio-inheritance",
    "--no-sendfile",
    "--proxy-headers",
    "--factory",
}
ENTRY = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)(\([^()]*\))?")
_TOKEN = re.compile(
    r"""(?P<join>\\\n)
    |(?P<quoted>'[^']*'|"(?:[^"\\]|\\.)*"|\\.)
    |(?P<comment>(?<!\S)\#[^\n]*)
    |(?P<heredoc>(?<!<)<<-?[ ]*["']?(?P<end>[A-Za-z_]\w*)["']?)
    |(?P<separator>;;|&&|\|\||;|\n|(?<![>&])&(?![>&\d]))
    |(?P<other>[^\\'"\#<;&|\n]+|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Command:
    """A command, as words; `name` is its process in a Procfile or service in a Compose file, or WEB, BUILD, RELEASE or HEALTH.

    `block` is where it is in a script: the functions, branches of `case` and conditions around it.
    """

    name: str
    words: tuple[str, ...]
    text: str
    place: Place
    block: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The program's name."""
        return PurePosixPath(self.words[0]).name if self.words else ""

    @property
    def server(self) -> bool:
        """Whether the command is a web server."""
        return self.program in _SERVERS and (self.program != "flask" or "run" in self.words)

    @property
    def script(self) -> str:
        """The name of the shell script that it runs; empty for none."""
        words = self.words[1:] if self.words[0] == "." or self.program in ("sh", "bash", "source") else self.words
        name = PurePosixPath(next((word for word in words if not word.startswith("-")), "")).name
        return name if name.endswith(".sh") or words is not self.words or "/" in self.words[0] else ""

    def inside(self, block: tuple[str, ...]) -> "Command":
        """Return the command inside of more blocks."""
        return replace(self, block=(*block, *self.block))


@dataclass(frozen=True)
class Server:
    """What the command of a web server says: entry ("" for none), worker class, directory, timeout in seconds; workers, and threads of each.

    Numbers are 0 for none.
    """

    entry: str
    worker_class: str
    directory: str
    timeout: int
    workers: int
    threads: int
    asgi: bool
    command: Command


def parts(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield the commands of a script, without comments and here-documents: the separator in front of each, its text and its line, from 1."""
    separator, current, line, start, position = "\n", "", 1, 1, 0
    ends: list[str] = []
    while token := _TOKEN.match(text, position):
        position, kind = token.end(), token.lastgroup
        if kind == "separator":
            if current.strip():
                yield separator, current.strip(), start
            separator, current = token[0], ""
        elif kind == "heredoc":
            ends.append(token["end"])
        elif kind in ("quoted", "other"):
            start = start if current.strip() else line
            current += token[0]
        elif kind == "join":
            current += " "
        line += token[0].count("\n")
        while token[0] == "\n" and ends:
            body = _body(text, position, ends.pop(0))
            position, line = position + len(body), line + body.count("\n")
    if current.strip():
        yield separator, current.strip(), start


def _body(text: str, position: int, end: str) -> str:
    """Return the rest of a here-document, with the line of its end."""
    found = re.compile(rf"^\s*{re.escape(end)}[ \t]*(?:\n|\Z)", re.MULTILINE).search(text, position)
    return text[position : found.end()] if found else text[position:]


def split(name: str, text: str, place: Place) -> list[Command]:
    """Return the commands of a line for a shell, without the programs and variables in front of them."""
    return [command for _, part, _ in parts(text) for command in parse(name, part, place)]


def parse(name: str, text: str, place: Place, block: tuple[str, ...] = ()) -> list[Command]:
    """Return a command, or those that a shell with -c runs; none for one that can't be parsed."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return []
    words = unwrapped(words)
    if len(words) > 2 and PurePosixPath(words[0]).name in ("sh", "bash") and re.fullmatch(r"-\w*c", words[1]):
        return [one.inside(block) for one in split(name, words[2], place)]
    return [Command(name, tuple(words), text, place, block)] if words else []


def unwrapped(words: list[str]) -> list[str]:
    """Return a command without the programs and variables in front of it."""
    words = list(words)
    while words:
        first = PurePosixPath(words[0]).name
        if first in _CHANGERS:
            words = words[2:]
        elif first.startswith("wait") and "--" in words:
            words = words[words.index("--") + 1 :]
        elif first in _WRAPPERS or re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]) or words[0].startswith("--mount="):
            words = words[1:]
        elif (first in _RUNNERS and words[1:2] == ["run"]) or (first in PYTHONS and " ".join(words[1:3]) in _MODULES):
            words = words[2:]
        else:
            break
    return words


def parse_server(command: Command, arguments: str = "") -> Server | None:
    """Return what a command of a web server says, None for another command; `arguments` are those in gunicorn's GUNICORN_CMD_ARGS."""
    if not command.server:
        return None
    options: dict[str, str] = {}
    words, rest = list(command.words[1:]), []
    if command.program == "gunicorn":
        # The command's own take precedence.
        words = [*_words(_assigned(command, ARGUMENTS) or arguments), *words]
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" in word:
            name, _, options[name] = word.partition("=")
        elif word.startswith("-"):
            if words and (word in ("--app", "-A") or (word not in _FLAGS and not ENTRY.fullmatch(words[0]))):
                options[word] = words.pop(0)
        else:
            rest.append(word)
    worker = options.get("-k") or options.get("--worker-class") or ""
    entry = next((word for word in rest if ENTRY.fullmatch(word)), "")
    if command.program == "gunicorn" and not entry and rest and re.fullmatch(r"[A-Za-z_][\w.]*", rest[0]):
        entry = f"{rest[0]}:application"
    if command.program == "uwsgi":
        entry = options.get("-w") or options.get("--module") or entry
    if {"--factory", "--call"} & set(command.words) and entry and not entry.endswith(")"):
        entry += "()"
    # -w is uwsgi's module.
    processes = ("-p", "--processes", "--workers") if command.program == "uwsgi" else ("-w", "--workers")
    workers = next((options[name] for name in processes if name in options), "")
    threads = options.get("--threads") or ""
    timeout = options.get("-t") or options.get("--timeout") or ""
    return Server(
        entry,
        worker if re.fullmatch(r"[\w.]+", worker) else "",
        options.get("--chdir", ""),
        int(timeout) if timeout.isdigit() else 0,
        int(workers) if workers.isdigit() else 0,
        int(threads) if threads.isdigit() else 0,
        command.program in ("uvicorn", "hypercorn", "daphne", "fastapi") or "uvicorn" in worker,
        command,
    )


def _assigned(command: Command, variable: str) -> str:
    """Return the value of a variable that is set in front of a command, "" for none."""
    return next((word.partition("=")[2] for word in _words(command.text) if word.startswith(f"{variable}=")), "")


def _words(text: str) -> list[str]:
    """Return the words of a command, none for one that can't be parsed."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def simple(command: Command, variables: Mapping[str, str]) -> str:
    """Return a command for the settings, with the values of known variables; in a shell where it needs one."""
    text = re.sub(
        r"\$\{?([A-Za-z_]\w*)\}?", lambda found: shlex.quote(str(variables.get(found[1], found[0]))), command.text
    )
    words = unwrapped(shlex.split(text))
    if re.search(r"[|<>`*]|\$[({A-Za-z_]", text):
        return shlex.join(["sh", "-c", " ".join(word if "$" in word else shlex.quote(word) for word in words)])
    return shlex.join(words)
