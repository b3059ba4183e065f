"""Requirements files in pip's format, as text: this module reads no files and runs nothing."""

from __future__ import annotations

import posixpath
import re

from ansible.module_utils.release.errors import ReleaseError

_NAME = r"[A-Za-z0-9][\w.-]*"


def entries(text: str) -> list[str]:
    """Return the entries of a requirements file, one string each: continued lines are joined, comments are removed."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines())
    return [line for line in lines if line]


def is_option(entry: str) -> bool:
    """Return whether an entry is an option, such as an index, and not a requirement."""
    return entry.startswith("-") and not re.match(r"(-e|--editable|-r|--requirement|-c|--constraint)\b", entry)


def is_hashed(entry: str) -> bool:
    """Return whether an entry is a requirement with a hash."""
    return "--hash=" in entry and not entry.startswith("-")


def is_commit(entry: str) -> bool:
    """Return whether an entry is a requirement at a full commit id of a git repository, which is as good as a hash."""
    return re.search(r"@\s*git\+\S+@[0-9a-f]{40}\b", entry) is not None


def local_path(entry: str) -> str:
    """Return the directory that an entry such as `-e .` or `./core[fast]` requires, relative to its file's; empty for another requirement."""
    found = re.match(r"(?:-e\s*|--editable[ =]\s*)?(\.{1,2}(?:/[^\s;\[]*)?)(?:\[[^\]]*\])?(?:\s*;.*)?$", entry)
    path = posixpath.normpath(found[1]) if found else ""
    # Only inside the app; a file can't be told from a directory here, but has a suffix.
    return "" if path.startswith("..") or path.endswith((".whl", ".gz", ".zip")) else path


def is_locked(text: str) -> bool:
    """Return whether a requirements file names packages, and all of them by hash or commit."""
    packages = [entry for entry in entries(text) if not is_option(entry)]
    return bool(packages) and all(is_hashed(entry) or is_commit(entry) for entry in packages)


def normalized(name: str) -> str:
    """Return the name of a package as an index normalizes it: `Flask_Login` is `flask-login`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(text: str) -> set[str]:
    """Return the normalized names of the packages in a requirements file."""
    found = (re.match(_NAME, entry) for entry in entries(text))
    return {normalized(match[0]) for match in found if match}


def pins_in(lock: str) -> list[tuple[str, str]]:
    """Return the normalized name and the version of each package that a lock file pins with `==`."""
    found = (re.match(rf"({_NAME})(?:\[.*?\])?==([^\s;]+)", entry) for entry in entries(lock))
    return [(normalized(match[1]), match[2]) for match in found if match]


def constraints_in(lock: str) -> str:
    """Return constraints that pin the packages of a lock file, without their hashes and extras."""
    packages = [entry for entry in entries(lock) if not (is_option(entry) or local_path(entry))]
    plain = (re.sub(rf"^({_NAME})\[.*?\]", r"\1", re.sub(r"\s*--hash=\S+", "", entry)) for entry in packages)
    return "".join(f"{entry}\n" for entry in plain)


def with_missing(lock: str, more: str) -> str:
    """Return a lock file with the entries of the lock file `more` for packages that it lacks."""
    names = names_in(lock)
    added = [entry for entry in entries(more) if not names_in(entry) & names]
    return "\n".join([lock.rstrip("\n"), *added, ""]).lstrip("\n")


def with_gunicorn(lock: str, gunicorn: str) -> str:
    """Return a lock file with the entries of the lock file `gunicorn` added, or unchanged when it has gunicorn already."""
    return lock if "gunicorn" in names_in(lock) else with_missing(lock, gunicorn)


def check_lock(lock: str) -> None:
    """Raise ReleaseError when a lock file has requirements that could change unnoticed: with neither a hash nor a commit."""
    good = (is_option, is_hashed, is_commit, local_path)
    bad = [entry for entry in entries(lock) if not any(test(entry) for test in good)]
    if bad:
        shown = "; ".join(entry[:100] for entry in bad[:5])
        raise ReleaseError(
            f"{len(bad)} requirements have no hash, because they are files, URLs or directories outside the app: {shown}",
            "Require a release from a package index, a git repository (name @ git+https://...) or a directory of the app.",
        )
