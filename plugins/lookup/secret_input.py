"""Ansible lookup: a secret from a file, from standard input, or from a prompt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError, AnsiblePromptNoninteractive
from ansible.plugins.lookup import LookupBase, display

DOCUMENTATION = r"""
name: secret_input
short_description: Read a secret without passing it as an argument
description:
  - Reads O(file) if it is set. Otherwise prompts twice at a terminal; without a terminal, reads standard input to its end.
  - One trailing newline of a file or of standard input is removed.
options:
  _terms: {description: Name of the secret for the prompt., required: true, type: list, elements: str}
  file: {description: File that contains the value; empty for none., type: str, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Show the length of the secret
  ansible.builtin.debug:
    msg: "{{ lookup('secret_input', 'SECRET_KEY', file='secret.txt') | length }}"
"""

RETURN = r"""
_raw: {description: The secret., type: list, elements: str}
"""

# Maximum plaintext of KMS, bytes.
_LARGEST = 4096


def read(path: Path) -> str:
    """Return a file's text without its trailing newline."""
    try:
        return path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise AnsibleLookupError(f"The value can't be read from {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise AnsibleLookupError(f"The value in {path} is not valid UTF-8.") from None


def ask(name: str) -> str:
    """Prompt twice at the terminal and return the value.

    Raises:
        AnsiblePromptNoninteractive: There is no terminal.
    """
    typed, again = (
        display.prompt_until(f"{text} (not shown): ", private=True).decode()
        for text in (f"Value of {name}", "Repeat the value")
    )
    if typed != again:
        raise AnsibleLookupError("The two values differ. Nothing was encrypted.")
    return typed


class LookupModule(LookupBase):
    """The lookup `secret_input`."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the secret."""
        self.set_options(var_options=variables, direct=kwargs)
        name, file = str(terms[0]), self.get_option("file")
        if "secret_value" in (variables or {}):
            raise AnsibleLookupError(
                "secret_value: found a value on the command line, where every user of this machine can read it; consider it disclosed."
                " Pass a new one on standard input, or in a file: -e secret_file=FILE"
            )
        if file:
            value = read(Path(file).expanduser())
        else:
            try:
                value = ask(name)
            except AnsiblePromptNoninteractive:
                # A task has no standard input; this is that of ansible-playbook.
                value = read(Path(f"/proc/{os.getppid()}/fd/0"))
        if not value:
            raise AnsibleLookupError(
                f"The value of {name} is empty; nothing was encrypted. Enter it at a terminal, pass it on standard input,"
                " or in a file: -e secret_file=FILE"
            )
        if "\0" in value:
            raise AnsibleLookupError(f"The value of {name} has a NUL byte, which an environment variable can't have.")
        if len(value.encode()) > _LARGEST:
            raise AnsibleLookupError(
                f"The value of {name} has {len(value.encode())} bytes; KMS encrypts at most {_LARGEST}. Store it in S3."
            )
        return [value]
