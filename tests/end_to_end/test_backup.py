"""A dump holds everything, and restores: with MySQL's own client, and by playbooks/restore.yml."""

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import certificates, login, operations
from lab.images import mysql_image
from lab.layout import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "roles/rds_backup/files"))

from rds_backup import dump, load, structure  # noqa: E402  (a program's package, on no path of ours)
from rds_backup.server import connect, drop_schema, execute, rows  # noqa: E402

NASTY, COPY = "nasty", "nasty_copy"
