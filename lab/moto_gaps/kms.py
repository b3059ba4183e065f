"""KMS: states of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.models import KmsBackend

from lab.moto_gaps.patches import gap, wrap


@gap
def accept_key_arns() -> None:
    """DisableKey, EnableKey and the deletion calls accept an ARN on AWS; moto returns 500."""
    for name in ("disable_key", "enable_key", "cancel_key_deletion", "schedule_key_deletion"):

        @wrap(KmsBackend, name)
        def call(original: Callable[..., Any], self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
            return original(self, self.get_key_id(key_id), *args, **kwargs)


@gap
def reject_disabled_keys() -> None:
    """A key that is disabled or pending deletion still encrypts and decrypts in moto."""

    def require_enabled(backend: Any, key_id: str) -> None:
        key = backend.keys[backend.any_id_to_key_id(key_id)]
        if key.key_state == "Disabled":
            raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
        if key.key_state != "Enabled":
            raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")

    @wrap(KmsBackend, "encrypt")
    def encrypt(original: Callable[..., Any], self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
        require_enabled(self, key_id)
        return original(self, key_id, *args, **kwargs)

    @wrap(KmsBackend, "decrypt")
    def decrypt(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        plaintext, arn = original(self, *args, **kwargs)
        require_enabled(self, arn)
        return plaintext, arn
