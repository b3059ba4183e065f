"""Ansible lookup: a secret from a file, from standard input, or typed at a prompt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError, AnsiblePromptNoninteractive
from ansible.plugins.lookup import LookupBase, display

DOCUMENTATION = r"""
name: secret_input
short_description: Read a secret that stands in no argument
description:
  - Reads O(file) where it is given. Otherwise asks twice at a terminal; without a terminal, reads standard input to its end.
  - One newline at the end of a file or of standard input is no part of the secret.
options:
  _terms: {description: Name of the secret for the prompt., required: true, type: list, elements: str}
  file: {description: File with the value; empty for none., type: str, default: ""}
author: [Outport]
"""

EXAMPLES = r"""
- name: Show how long the secret is
  ansible.builtin.debug:
    msg: "{{ lookup('secret_input', 'SECRET_KEY', file='secret.txt') | length }}"
"""

RETURN = r"""
_raw: {description: The secret., type: list, elements: str}
"""

# KMS encrypts no more at once, bytes.
_LARGEST = 4096


def read(path: Path) -> str:
    """Return a file's text without the newline at its end."""
    try:
        return path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise AnsibleLookupError(f"The value can't be read from {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise AnsibleLookupError(f"The value in {path} is not text in UTF-8.") from None


def ask(name: str) -> str:
    """Return what is typed twice at the terminal.

    Raises:
        AnsiblePromptNoninteractive: There is no terminal.
    """
    typed, again = (
        display.prompt_until(f"{text}, which is not shown: ", private=True).decode()
        for text in (f"Value of {name}", "The value again")
    )
    if typed != again:
        raise AnsibleLookupError("The two values are not the same. Nothing was encrypted.")
    return typed


class LookupModule(LookupBase):
    """The lookup `secret_input`."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the secret."""
        self.set_options(var_options=variables, direct=kwargs)
        name, file = str(terms[0]), self.get_option("file")
        if file:
            value = read(Path(file).expanduser())
        else:
            try:
                value = ask(name)
            except AnsiblePromptNoninteractive:
                # A task has no standard input of its own: that of ansible-playbook is meant.
                value = read(Path(f"/proc/{os.getppid()}/fd/0"))
        if not value:
            raise AnsibleLookupError(
                f"The value of {name} is empty; nothing was encrypted. Type it at a terminal, give it on standard input,"
                " or name a file that has it: -e secret_file=FILE"
            )
        if len(value.encode()) > _LARGEST:
            raise AnsibleLookupError(
                f"The value of {name} has {len(value.encode())} bytes; KMS encrypts at most {_LARGEST}. Keep it in S3."
            )
        return [value]
