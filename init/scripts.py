"""Shell scripts: their commands in order, each with the functions, branches and conditions around it."""

import re
from dataclasses import replace

from init.commands import CONDITION, MOST_COMMANDS, WEB, Command, parse, parts
from init.hints import Hints
from init.report import Place

_FUNCTION = re.compile(r"(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\s*\)\s*(\{?)\s*|function\s+([\w-]+)\s*(\{?)\s*")
_BRANCH = re.compile(r"\(?\s*[^\s()$][^()$]*\)\s*")
_TEST = re.compile(r"(?:!\s*)?(?:\[\[?|test)\s")


def read_script(name: str, text: str, path: str, first: int, hints: Hints) -> None:
    """Add the script of a name, whose text begins at a line of a file, to the hints."""
    reader = _Reader(path, first)
    for separator, part, line in parts(_with_defaults(text, path, first, hints)):
        reader.read(separator, part, line)
    hints.scripts[name] = reader.commands
    hints.start(reader.commands)


class _Reader:
    """Reads the parts of a script one after another."""

    def __init__(self, path: str, first: int) -> None:
        self.commands: list[Command] = []
        self._path, self._first = path, first
        self._blocks: list[str] = []
        self._functions: dict[str, list[Command]] = {}
        self._number = 0
        # Whether the next `then` belongs to a condition that is open already, and the next `{` to a function.
        self._elif = self._named = False
        self._tested = ""

    def read(self, separator: str, part: str, line: int) -> None:
        """Read a part: keywords, and the command after them."""
        if self._blocks and self._blocks[-1].startswith("case") and separator == ";;":
            self._blocks[-1] = self._new("case")
        condition = self._condition(separator)
        if self._blocks and self._blocks[-1].startswith("case") and (found := _BRANCH.match(part)):
            part = part[found.end() :]
        while part and (rest := self._keyword(part)) is not None:
            part = rest
        if not part or len(self.commands) >= MOST_COMMANDS:
            return
        self._tested = condition or (self._new(CONDITION) if _TEST.match(part) else "")
        blocks = (*self._blocks, *([condition] if condition else []))
        for command in parse(WEB, part, Place(self._path, self._first + line - 1), blocks):
            body = self._functions.get(command.words[0])
            self.commands += [command] if body is None else [inner.inside(blocks) for inner in body[:MOST_COMMANDS]]

    def _condition(self, separator: str) -> str:
        """Return the condition that a part is on by its separator: after a test, or after a command that failed."""
        if separator == "&&":
            return self._tested
        if separator == "||":
            return self._new(CONDITION)
        return ""

    def _new(self, kind: str) -> str:
        self._number += 1
        return f"{kind} {self._number}"

    def _keyword(self, part: str) -> str | None:
        """Take a keyword off the start of a part; None when there is none."""
        if found := _FUNCTION.match(part):
            self._blocks.append(f"function {found[1] or found[3]}")
            self._named = not (found[2] or found[4])
            return part[found.end() :]
        word = re.match(r"\S+", part)
        first = word[0] if word else ""
        rest = part[len(first) :].strip()
        match first:
            case "then":
                if not self._elif:
                    self._blocks.append(self._new(CONDITION))
                self._elif = False
            case "elif" | "else":
                self._elif = first == "elif"
                self._close(CONDITION)
                self._blocks.append(self._new(CONDITION))
            case "fi":
                self._close(CONDITION)
            case "case":
                self._blocks.append(self._new("case"))
                return re.sub(r"^.*?\sin\b\s*", "", rest, flags=re.DOTALL)
            case "esac":
                self._close("case")
            case "{" | "(":
                if not self._named:
                    self._blocks.append("group")
                self._named = False
            case "}" | ")":
                self._close("")
            case "for" | "select":
                return ""
            case "if" | "while" | "until" | "do" | "done" | "!" | "time":
                return rest
            case _:
                return None
        return rest

    def _close(self, kind: str) -> None:
        """Leave the innermost block, if it is of a kind; a function's commands are kept for its calls."""
        if not self._blocks or not self._blocks[-1].startswith(kind):
            return
        block = self._blocks.pop()
        if block.startswith("function "):
            depth = len(self._blocks) + 1
            self._functions[block.removeprefix("function ")] = [
                replace(inner, block=inner.block[depth:])
                for inner in self.commands
                if inner.block[:depth] == (*self._blocks, block)
            ]


def _with_defaults(text: str, path: str, first: int, hints: Hints) -> str:
    """Return a script with the defaults of its variables, and add the variables to the hints."""
    defaults = dict(re.findall(r"\$\{(\w+):?-([^}$]*)\}", text))
    for name, value in defaults.items():
        line = text[: text.index(f"${{{name}")].count("\n") + first
        hints.variables.setdefault(name, (value.strip("\"'"), Place(path, line)))
    text = re.sub(r"\$\{(\w+):?-([^}$]*)\}", r"\2", text)
    return re.sub(r"\$\{?(\w+)\}?", lambda found: defaults.get(found[1], found[0]), text)
