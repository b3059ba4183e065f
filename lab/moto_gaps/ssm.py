"""SSM: sizes of parameters."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from moto.ssm.exceptions import ValidationException
from moto.ssm.models import SimpleSystemManagerBackend

from lab.moto_gaps.patches import gap, wrap


@gap
def reject_large_parameters() -> None:
    """A standard parameter has at most 4,096 characters; moto stores any number."""

    @wrap(SimpleSystemManagerBackend, "put_parameter")
    def put(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature(original).bind(self, *args, **kwargs).arguments
        if len(given["value"]) > 4096 and given["tier"] in (None, "Standard"):
            raise ValidationException("Standard tier parameters support a maximum parameter value of 4096 characters.")
        return original(self, *args, **kwargs)
