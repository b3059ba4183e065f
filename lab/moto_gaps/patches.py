"""How the gaps are registered, and moto's functions wrapped."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

GAPS: list[Callable[[], None]] = []


def gap(close: Callable[[], None]) -> Callable[[], None]:
    """Decorator: register the function that closes a gap."""
    GAPS.append(close)
    return close


def wrap(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Decorator: replace `owner.name` with a function that gets the original as its first argument."""
    original = getattr(owner, name)

    def install(function: Callable[..., Any]) -> None:
        @wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return function(original, *args, **kwargs)

        setattr(owner, name, replacement)

    return install
