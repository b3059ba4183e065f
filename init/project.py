"""The files of an app's repository: text, TOML and parsed Python, read on demand."""

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from init.module import Module
from init.report import Place
from init.source import Source

# Directories whose code is no part of the app that is deployed.
_OTHER = re.compile(
    r"(?:^|/)(?:tests?|testing|docs?|examples?|samples?|node_modules|\.?venv|env|site-packages|build|dist|benchmarks?|fixtures|\.[^/]+)/"
    r"|(?:^|/)(?:conftest|setup|test_[^/]*|[^/]*_test|tests)\.py$"
)
_LARGEST = 1_000_000


class Project:
    """A repository, below the directory that was asked for; paths are relative to the repository's top."""

    def __init__(self, source: Source) -> None:
        self.source = source
        below = f"{source.subdir}/" if source.subdir else ""
        self.files = tuple(name for name in source.files if name.startswith(below))
        self._known = frozenset(source.files)
        self._submodules = frozenset(name for name in source.files if (source.top / name).is_dir())
        self._texts: dict[str, str] = {}
        # Python files with invalid syntax.
        self.unparsed: list[Place] = []

    def has(self, path: str | PurePosixPath) -> bool:
        """Return whether git tracks a file."""
        return str(path) in self._known

    def has_directory(self, path: str | PurePosixPath) -> bool:
        """Return whether git tracks a file in a directory, or the directory is a submodule."""
        return str(path) in self._submodules or any(name.startswith(f"{path}/") for name in self._known)

    def text(self, path: str) -> str:
        """Return a file's text; empty when there is none, or a large one."""
        if path not in self._texts:
            file = self.source.top / path
            # A link could lead out of the repository.
            readable = self.has(path) and not file.is_symlink() and file.is_file() and file.stat().st_size <= _LARGEST
            self._texts[path] = file.read_text(encoding="utf-8-sig", errors="replace") if readable else ""
        return self._texts[path]

    def toml(self, path: str) -> dict[str, Any]:
        """Return a TOML file; empty when there is none, or an invalid one."""
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError:
            return {}

    def place(self, path: str, text: str) -> Place:
        """Return the first line of a file that contains a text."""
        lines = self.text(path).splitlines()
        return Place(path, next((number for number, line in enumerate(lines, 1) if text in line), 0))

    def named(self, pattern: str) -> Iterator[str]:
        """Yield the files whose name matches a regular expression, those near the top first."""
        wanted = re.compile(pattern)
        found = [name for name in self.files if wanted.fullmatch(PurePosixPath(name).name) and not _OTHER.search(name)]
        yield from sorted(found, key=lambda name: (name.count("/"), name))

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The app's Python modules by path, without tests, examples and those that can't be parsed."""
        parsed = {}
        for path in self.named(r".*\.py"):
            try:
                module = Module(path, self.text(path))
                # Nested too deeply, which no person writes.
                _ = module.aliases, module.reads, module.apps, module.routes, module.registered
            except SyntaxError as error:
                self.unparsed.append(Place(path, error.lineno or 0))
            except (ValueError, RecursionError, MemoryError):
                self.unparsed.append(Place(path))
            else:
                parsed[path] = module
        return parsed


def table(content: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a table of a TOML file; empty when there is none, or a value of another type."""
    for name in names:
        found = content.get(name)
        content = found if isinstance(found, dict) else {}
    return content
