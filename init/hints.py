"""What the files that start an app elsewhere show: its commands, variables, directories and the steps before its server."""

from dataclasses import dataclass, field
from itertools import islice, takewhile

from init.commands import ARGUMENTS, CONDITION, MOST_COMMANDS, Command, Server, parse_server
from init.report import Place

# What a script that is an image's entry point ends with: the command of the image.
_COMMAND_OF_THE_IMAGE = {"$@", "${@}", "$*"}
# Scripts that run one another.
MOST_SCRIPTS = 3
# Starts of servers in one script.
_MOST_STARTS = 20


@dataclass(frozen=True)
class Start:
    """The commands in front of a web server, and those of them that run on a condition; `server` is None for the image's command."""

    server: Server | None
    commands: list[Command]
    conditional: list[Command]


@dataclass
class Hints:
    """The commands, variables and mounted directories of Docker and Compose files; `sequences` are commands that run one after another."""

    commands: list[Command] = field(default_factory=list)
    sequences: list[list[Command]] = field(default_factory=list)
    # Scripts by name.
    scripts: dict[str, list[Command]] = field(default_factory=dict)
    variables: dict[str, tuple[str, Place]] = field(default_factory=dict)
    directories: list[tuple[str, Place]] = field(default_factory=list)
    pythons: list[tuple[str, Place]] = field(default_factory=list)

    def start(self, commands: list[Command]) -> None:
        """Add commands that run one after another."""
        self.commands += commands
        self.sequences.append(commands)

    def servers(self) -> list[Server]:
        """Return the web servers among the commands, those for production first."""
        arguments, _ = self.variables.get(ARGUMENTS, ("", None))
        found = [server for command in self.commands if (server := parse_server(command, arguments))]
        return sorted(found, key=lambda server: (server.command.program == "flask", not server.entry))

    def starts(self) -> list[Start]:
        """Return the starts of web servers."""
        found = [start for sequence in self.sequences for start in _starts(self._with_scripts(sequence, 0))]
        before = [commands for name, commands in self.scripts.items() if "prestart" in name]
        return found + [_start(self._with_scripts(commands, 0), None, ()) for commands in before]

    def _with_scripts(self, sequence: list[Command], depth: int) -> list[Command]:
        """Return a sequence with the commands of the scripts that it runs in the place of each."""
        found = []
        for command in sequence[:MOST_COMMANDS]:
            script = self.scripts.get(command.script) if command.script and depth < MOST_SCRIPTS else None
            if script is None:
                found.append(command)
            else:
                found += [inner.inside(command.block) for inner in self._with_scripts(script, depth + 1)]
            if len(found) > MOST_COMMANDS:
                break
        return found[:MOST_COMMANDS]


def _starts(commands: list[Command]) -> list[Start]:
    ends = (
        (number, command, server)
        for number, command in enumerate(commands)
        if (server := parse_server(command)) or command.words[0] in _COMMAND_OF_THE_IMAGE
    )
    return [_start(commands[:number], server, command.block) for number, command, server in islice(ends, _MOST_STARTS)]


def _start(commands: list[Command], server: Server | None, block: tuple[str, ...]) -> Start:
    """Return the start of a server in a block: commands in other functions and branches are no part of it."""
    found, conditional = [], []
    for command in commands:
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(command.block, block, strict=False))))
        if all(other.startswith(CONDITION) for other in command.block[common:]):
            found.append(command)
            conditional += [command] if len(command.block) > common else []
    return Start(server, found, conditional)
