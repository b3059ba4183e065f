"""Whether the site answers: one line for a person, whatever happens."""

import time
from http.client import HTTPException

from lab.visitor import Visitor


def describe(visitor: Visitor, path: str = "/") -> str:
    """The status and the time of one visit over verified HTTPS, or the error."""
    began = time.monotonic()
    try:
        found = visitor.get(path)
    except (OSError, HTTPException) as error:
        return f"no answer: {error or type(error).__name__}"
    return f"{found.status} {found.reason} in {(time.monotonic() - began) * 1000:.0f} ms"
