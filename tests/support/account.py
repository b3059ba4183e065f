"""An account of the lab's AWS API, without a lab, and Ansible's programs that use it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.processes import kill

from lab import operator
from lab.layout import ROOT_KEY

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = Path(sys.executable).parent
SERVE = "import sys; from lab import cloud; cloud.bind('127.0.0.1', int(sys.argv[1])).serve_forever()"
CONTEXT = {"Application": "listings", "Environment": "lab"}
MASTER_CONTEXT = {"Database": "listings-lab"}


class Account:
    """An account of the AWS API, and the playbook's output about it."""

    def __init__(self, port: int, directory: Path) -> None:
        # Without a region, which comes from the settings.
        self.environment = {key: value for key, value in os.environ.items() if "REGION" not in key} | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "ANSIBLE_INVENTORY": "inventory/lab",
        }
        self.key = directory / "id.pub"
        public = Ed25519PrivateKey.generate().public_key()
        self.key.write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
        key, secret = operator.create_user(self.client("iam"))
        self.environment |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        self.permit("lab")

    def permit(self, environment: str, *arguments: str) -> None:
        """Give the operator the policies of an environment in inventory/, and no others; `arguments` are Ansible's, such as `-e app_name=shop`."""
        with TemporaryDirectory() as policies:
            own = ["-e", f"ssh_public_key_file={self.key}", "-e", f"policies_directory={policies}"]
            done = self._run(str(ROOT / "bin/policies"), environment, *own, *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
            operator.attach_policies(self.client("iam"), Path(policies))

    def play(self, playbook: str, *arguments: str, text: str = "") -> tuple[int, str]:
        """Run a playbook with `text` as its input; return its exit status and its output."""
        done = self._run("ansible-playbook", *self._command(playbook, *arguments), text=text)
        return done.returncode, done.stdout + done.stderr

    def _command(self, playbook: str, *arguments: str) -> list[str]:
        return [f"playbooks/{playbook}.yml", "-e", f"ssh_public_key_file={self.key}", *arguments]

    def provision(self, *arguments: str) -> str:
        """Run provision.yml, which must succeed, and return its output."""
        code, output = self.play("provision", *arguments)
        assert code == 0, output[-6000:]
        return output

    def kill_after_a_change(self, playbook: str, *arguments: str) -> bool:
        """Run a playbook, and kill it at its first change; return whether it made one before it ended."""
        command = [str(PROGRAMS / "ansible-playbook"), *self._command(playbook, *arguments)]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout
            output = ""
            for line in process.stdout:
                output += line
                if line.startswith("changed: "):
                    kill(process.pid)
                    return True
        assert process.returncode == 0, output[-6000:]
        return False

    def move_to(self, region: str, directory: Path) -> None:
        """Use a copy of the lab's settings, for another region, in a directory."""
        shutil.copytree(ROOT / "inventory/lab", directory / "lab")
        path = directory / "lab/group_vars/all.yml"
        path.write_text(path.read_text().replace("eu-west-1", region))
        self.environment["ANSIBLE_INVENTORY"] = str(directory / "lab")
        self.permit("lab", "-e", f"aws_region={region}")

    def inventory(self) -> dict[str, Any]:
        """Return Ansible's inventory."""
        done = self._run("ansible-inventory", "--list")
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of Ansible's, such as a lookup."""
        message = f"msg={{{{ ({expression}) | to_json }}}}"
        done = self._run("ansible", "localhost", "-m", "ansible.builtin.debug", "-a", message)
        assert done.returncode == 0, done.stdout + done.stderr
        shown = yaml.safe_load(done.stdout.partition("=>")[2])
        return json.loads(shown["msg"])

    def _run(self, program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / program) if "/" not in program else program, *arguments],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def client(self, service: str, region: str = "eu-west-1") -> Any:
        """Return a client of the AWS API, as the account's root user."""
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=region,
            aws_access_key_id=ROOT_KEY,
            aws_secret_access_key="not-a-secret",
        )

    def document(self, name: str, context: Mapping[str, str] = CONTEXT) -> dict[str, Any]:
        """Return the document of an SSM parameter of the environment, decrypted."""
        parameter = self.client("ssm").get_parameter(Name=f"/outport/lab/listings/{name}")["Parameter"]
        assert parameter["Type"] == "String"
        blob = base64.b64decode(parameter["Value"])
        return json.loads(self.client("kms").decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"])


@contextmanager
def serve(directory: Path) -> Iterator[Account]:
    """Serve an empty account on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"MOTO_AMIS_PATH": str(ROOT / "lab/amis.json")}
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(port, server)
            yield Account(port, directory)
        finally:
            server.terminate()
            server.wait(timeout=10)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server responds, for up to 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server exited"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not respond within 30 seconds")
