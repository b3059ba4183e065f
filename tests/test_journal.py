"""An error message shows the app's last log lines without noise."""

import subprocess
import sys
from pathlib import Path

from ansible.module_utils.release import journal

WORKER = """\
[2026-01-01 00:00:00 +0000] [{pid}] [INFO] Booting worker with pid: {pid}
[2026-01-01 00:00:01 +0000] [{pid}] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/srv/shop/venvs/0a/lib/python3.11/site-packages/gunicorn/util.py", line 370, in import_app
    mod = importlib.import_module(module)
          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "<frozen importlib._bootstrap>", line 1204, in _gcd_import
  File "/srv/shop/releases/0a/app/run.py", line 3, in <module>
    shelf()
RuntimeError: no shelf
[2026-01-01 00:00:01 +0000] [{pid}] [INFO] Worker exiting (pid: {pid})
"""
MASTER = """\
Traceback (most recent call last):
  File "/srv/shop/venvs/0a/lib/python3.11/site-packages/gunicorn/arbiter.py", line 209, in run
    handler()
StopIteration
During handling of the above exception, another exception occurred:
Traceback (most recent call last):
  File "/srv/shop/venvs/0a/bin/gunicorn", line 10, in <module>
    sys.exit(run())
gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>
"""


def test_the_cause_is_reported_once_without_gunicorns_own_frames() -> None:
    lines = (WORKER.format(pid=11) + WORKER.format(pid=12) + MASTER).splitlines()
    assert journal.essence(lines) == [
        "[2026-01-01 00:00:01 +0000] [11] [ERROR] Exception in worker process",
        "Traceback (most recent call last):",
        '  File "/srv/shop/releases/0a/app/run.py", line 3, in <module>',
        "    shelf()",
        "RuntimeError: no shelf",
    ]


def test_log_lines_that_differ_only_in_numbers_are_reported_once() -> None:
    lines = [f'{{"ms": {number}, "id": "{number:032x}", "path": "/"}}' for number in range(100)]
    assert journal.essence([*lines[:50], "out of paper", *lines[50:]]) == [lines[0], "out of paper"]


def test_a_wrong_entry_is_reported_by_gunicorn_itself(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("app = None\n")
    command = [sys.executable, "-m", "gunicorn", "--bind", "unix:socket", "run:nothing"]
    messages = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False).stderr
    assert "attribute 'nothing' in 'run'" in "\n".join(journal.essence(messages.splitlines()))
