"""Fixes of differences between moto, the lab's AWS API, and AWS itself.

The playbooks are written for AWS. Where moto behaves differently, it is patched here, in its own process,
before its server starts: `close_gaps()`. One function per difference; tests/moto_gaps has a test for each.
moto reads MOTO_AMIS_PATH (lab/amis.json) when it is imported: set it before importing this.
"""

import pkgutil
from functools import cache
from importlib import import_module

import moto

from lab.moto_gaps.patches import GAPS

MOTO_VERSION = "5.2.5"


@cache
def close_gaps() -> None:
    """Patch moto in this process, once. Raises RuntimeError when moto is not the version that this was written for."""
    if moto.__version__ != MOTO_VERSION:
        raise RuntimeError(
            f"lab/moto_gaps patches moto {MOTO_VERSION}, found {moto.__version__}. "
            f"Install {MOTO_VERSION}, or review the patches with tests/moto_gaps and change MOTO_VERSION."
        )
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    for close in GAPS:
        close()
