"""The identity of a playbook run, by which the deploy lock distinguishes runs."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_a_narrow_terminal_hides_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """ps truncates command lines without a terminal as well; a run then did not find its own playbook, and did not release the lock."""
    spec = importlib.util.spec_from_file_location("session", ROOT / "plugins/lookup/release_session.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("COLUMNS", "40")
    parent, command = module.processes()[os.getpid()]
    assert parent == os.getppid()
    # The kernel's command line; ps shows any white space as a blank.
    whole = Path("/proc/self/cmdline").read_bytes().decode().replace("\0", " ").split()
    assert command.split() == whole
