#!/usr/bin/python
"""Ansible module: install several text files at once."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: install_files
short_description: Install several text files at once
description:
  - Writes files with the given contents. It is one task for a set of files, which M(ansible.builtin.copy) and M(ansible.builtin.template)
    install with two or more commands per file.
  - A file is replaced atomically. Missing directories are created, with mode 0755.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Path on the host., type: path, required: true}
      content: {description: Text of the file., type: str, required: true}
      mode: {description: "Mode in octal digits; by default O(mode).", type: str}
  mode: {description: "Mode of the files that have none of their own, in octal digits.", type: str, default: "0644"}
author: [Outport]
"""

EXAMPLES = r"""
- name: Configure the unit
  install_files:
    files:
      - path: /etc/systemd/system/shop.service
        content: "{{ lookup('ansible.builtin.template', 'shop.service.j2') }}"
      - path: /usr/local/sbin/shop
        content: "{{ lookup('ansible.builtin.file', 'shop', rstrip=false) }}"
        mode: "0755"
"""

RETURN = r"""
changed_files: {description: "Paths of the files that were changed, or that would be in check mode.", type: list, elements: str, returned: success}
"""

_DIRECTORY_MODE = 0o755


def install(module: AnsibleModule, path: Path, content: str, mode: int) -> dict[str, str] | None:
    """Install a file; return the difference, None when there is none."""
    existing = path.is_file() and not path.is_symlink()
    before = path.read_text(encoding="utf-8", errors="replace") if existing else ""
    before_mode = path.stat().st_mode & 0o7777 if existing else 0
    replaced = not existing or before != content
    if not replaced and before_mode == mode:
        return None
    if not module.check_mode:
        if replaced:
            write(module, path, content)
        path.chmod(mode)
    texts = (before, content) if replaced else (f"mode: {before_mode:04o}\n", f"mode: {mode:04o}\n")
    headers = (str(path) if existing else "", str(path))
    return dict(zip(("before", "after", "before_header", "after_header"), texts + headers, strict=True))


def write(module: AnsibleModule, path: Path, content: str) -> None:
    """Replace a file, and create the directories above it."""
    for directory in reversed(path.parents):
        if not directory.is_dir():
            directory.mkdir()
            directory.chmod(_DIRECTORY_MODE)
    number, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(content)
    module.atomic_move(temporary, str(path))


def main() -> None:
    """Run the module."""
    file_options = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "required": True},
        "mode": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "options": file_options, "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
        supports_check_mode=True,
    )
    files = module.params["files"]
    # The contents would only bloat the result.
    module.params["files"] = [file["path"] for file in files]
    found: dict[str, dict[str, str]] = {}
    for file in files:
        mode = file["mode"] or module.params["mode"]
        if not re.fullmatch(r"0?[0-7]{3}", mode):
            module.fail_json(msg=f"The mode of {file['path']} must be octal digits, such as '0644'; found '{mode}'.")
        try:
            difference = install(module, Path(file["path"]), file["content"], int(mode, 8))
        except OSError as error:
            module.fail_json(
                msg=f"{file['path']} was not installed: {error.strerror}: {error.filename}.", changed=bool(found)
            )
        if difference:
            found[file["path"]] = difference
    module.exit_json(changed=bool(found), changed_files=list(found), diff=list(found.values()))


if __name__ == "__main__":
    main()
