"""The response of the site in one line, for every outcome."""

import time
from http.client import HTTPException

from lab.visitor import Visitor


def describe(visitor: Visitor, path: str = "/") -> str:
    """Return the status and the response time of one request over verified HTTPS, or the error."""
    began = time.monotonic()
    try:
        found = visitor.get(path)
    except (OSError, HTTPException) as error:
        return f"no response: {error or type(error).__name__}"
    return f"{found.status} {found.reason} in {(time.monotonic() - began) * 1000:.0f} ms"
