"""The error message of a failed command of a release."""

from __future__ import annotations

import pytest
from ansible.module_utils.release import oneoff

TRACEBACK = """\
INFO  [alembic.runtime.migration] Context impl MySQLImpl.
Traceback (most recent call last):
  File "a.py", line 1, in connect
    raise exc
pymysql.err.OperationalError: (2003, "Can't connect")

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 1, in <module>
    raise
sqlalchemy.exc.OperationalError: (pymysql.err.OperationalError) (2003, "Can't connect")
(Background on this error at: https://sqlalche.me/e/20/e3q8)
"""


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (TRACEBACK, """sqlalchemy.exc.OperationalError: (pymysql.err.OperationalError) (2003, "Can't connect")"""),
        (
            "Error: a warning of the tool\nERROR [flask_migrate] Error: Can't locate revision 9\n",
            "ERROR [flask_migrate] Error: Can't locate revision 9",
        ),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'KEY'\n", "KeyError: 'KEY'"),
        ("", "no output"),
    ],
)
def test_the_cause_is_the_apps_own_error(output: str, found: str) -> None:
    assert oneoff.cause([line for line in output.splitlines() if line.strip()]) == found
