"""Each command of docs/troubleshooting.md works in the lab."""

import re

import pytest
from support.plays import shell

from lab import operations
from lab.layout import REPOSITORY

PAGE = (REPOSITORY / "docs/troubleshooting.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_a_command_of_the_page_runs(command: str) -> None:
    if " ID" in command or "/ID/" in command:
        response = operations.visitor().get("/healthz")
        request = response.headers["x-request-id"]
        assert request in shell(command.replace("ID", request))
    else:
        assert shell(command).strip()


def test_the_commands_of_the_maintenance_mode_work() -> None:
    page = (REPOSITORY / "docs/your-app.md").read_text()
    on, off = re.findall(r"^ansible-playbook playbooks/maintenance_mode\.yml .*$", page, re.MULTILINE)
    shown = shell(on)
    site = operations.visitor()
    try:
        assert site.get("/").status == 503
        assert site.get("/healthz").status == 200
        bypass = re.search(r"https://[^/]+(/\.maintenance/\w+)", shown)
        assert bypass
        cookie = site.get(bypass[1]).headers["set-cookie"].partition(";")[0]
        assert site.request("GET", "/", headers={"Cookie": cookie}).status == 200
    finally:
        shell(off)
    assert site.get("/").status == 200
