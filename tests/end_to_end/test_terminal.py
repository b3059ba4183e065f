"""Secrets from a terminal, a pipe or a file: not shown, and never empty."""

import base64
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import aws, operations
from lab.layout import REPOSITORY

TIMEOUT = 90
CONTEXT = {"Application": "listings", "Environment": "lab"}


def at_a_terminal(command: list[str], replies: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a command at a terminal and type each reply after its prompt; return the exit status and the terminal's output."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(REPOSITORY)
        os.execv(command[0], command)
    shown, seen, waiting = "", 0, list(replies)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                break
        if waiting and waiting[0][0] in shown[seen:]:
            seen = len(shown)
            # Input before the prompt is ready would be discarded.
            time.sleep(0.5)
            os.write(terminal, f"{waiting.pop(0)[1]}\n".encode())
    else:
        os.kill(process, signal.SIGKILL)
        pytest.fail(f"{command} timed out: {shown[-1000:]}")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown)


def run(playbook: str, *options: str, text: str = "") -> tuple[int, str]:
    """Run a playbook without a terminal; return its exit status and its output on one line."""
    command = [str(REPOSITORY / "bin/lab"), "play", f"playbooks/{playbook}.yml", *options]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def decrypted(output: str, name: str) -> str:
    """Return the secret in the shown line."""
    found = re.search(rf"app_secrets:\s+{name}: ([A-Za-z0-9+/=]+)", output)
    assert found, output
    kms = aws.client("kms")
    plain = kms.decrypt(CiphertextBlob=base64.b64decode(found[1]), EncryptionContext=CONTEXT)["Plaintext"]
    return str(plain.decode())


def test_a_password_for_a_command_on_a_host_is_not_shown() -> None:
    command = [str(REPOSITORY / "bin/lab"), "ssh", "web-1", "sudo", "python3", "-c"]
    code, shown = at_a_terminal([*command, "'import getpass; print(len(getpass.getpass()))'"], [("assword", "s3cret!")])
    assert code == 0
    assert "7" in shown
    assert "s3cret!" not in shown
    piped = [*operations.ssh_command(operations.find_host("web-1")), "test -t 0 || cat"]
    assert (
        subprocess.run(piped, input=b"as it is\n", capture_output=True, timeout=60, check=True).stdout == b"as it is\n"
    )


def test_a_secret_is_typed_twice_and_not_shown() -> None:
    command = [str(REPOSITORY / "bin/lab"), "play", "playbooks/encrypt.yml"]
    typed = [("reads", "API_TOKEN"), ("Value of API_TOKEN", "s3cret!"), ("Repeat", "s3cret!")]
    code, shown = at_a_terminal(command, typed)
    assert code == 0
    assert "s3cret!" not in shown
    assert decrypted(shown, "API_TOKEN") == "s3cret!"
    code, shown = at_a_terminal(command, [*typed[:2], ("Repeat", "another")])
    assert code != 0
    assert "The two values differ" in shown


def test_a_stored_secret_is_typed_twice_and_listed_without_its_value() -> None:
    command = [str(REPOSITORY / "bin/lab"), "play", "playbooks/secrets.yml", "-e", "secret_name=API_TOKEN"]
    code, shown = at_a_terminal(command, [("Value of API_TOKEN", "s3cret!"), ("Repeat", "s3cret!")])
    assert code == 0
    assert "API_TOKEN was set" in shown
    listed = run("secrets")[1]
    assert "API_TOKEN /outport/lab/listings/secrets" in listed
    assert "s3cret!" not in shown + listed
    assert "API_TOKEN was removed" in run("secrets", "-e", "secret_remove=API_TOKEN")[1]


def test_a_secret_is_read_from_standard_input_or_a_file(tmp_path: Path) -> None:
    code, output = run("encrypt", "-e", "secret_name=API_TOKEN", text="wört of two\nlines\n")
    assert code == 0
    assert decrypted(output, "API_TOKEN") == "wört of two\nlines"
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    code, output = run("encrypt", "-e", "secret_name=API_TOKEN", "-e", f"secret_file={file}", text="not this")
    assert code == 0
    assert decrypted(output, "API_TOKEN") == "from a file"
    code, output = run("encrypt", "-e", "secret_name=app_repository_token", text="a token")
    assert code == 0
    # A setting of its own.
    assert re.search(r"(?<!app_secrets: )app_repository_token: [A-Za-z0-9+/=]{40,}", output)


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        ([], "a value", "Allowed: the name of an environment variable"),
        (["-e", "secret_name=API_TOKEN"], "", "The value of API_TOKEN is empty; nothing was encrypted."),
        (["-e", "secret_name=API_TOKEN"], "\n", "is empty"),
        (["-e", "secret_name=API-TOKEN"], "a value", 'found "API-TOKEN"'),
        (["-e", "secret_name=API_TOKEN"], "x" * 4097, "has 4097 bytes; KMS encrypts at most 4096"),
        (["-e", "secret_name=API_TOKEN", "-e", "secret_file=/nowhere"], "", "which is not a file"),
        (["-e", "secret_name=API_TOKEN", "-e", "secret_value=x"], "", "on the command line"),
    ],
)
def test_an_invalid_secret_is_refused(options: list[str], text: str, message: str) -> None:
    code, output = run("encrypt", *options, text=text)
    assert code != 0
    assert message in output
    assert "app_secrets:" not in output


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an SSH agent with more keys than a server lets a client try."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as process:
        environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
        for number in range(8):
            key = tmp_path / f"key-{number}"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, timeout=30)
        yield socket
        process.terminate()


def test_an_agent_with_many_keys_does_not_prevent_a_login(agent: Path, tmp_path: Path) -> None:
    # Not over a connection of another test.
    environment = os.environ | {"SSH_AUTH_SOCK": str(agent), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path)}
    command = [str(REPOSITORY / "bin/lab"), "play", "playbooks/releases.yml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout
