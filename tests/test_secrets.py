"""playbooks/secrets.yml against the AWS API of the lab: secrets are listed by name, set, replaced and removed, and never shown."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible.errors import AnsibleLookupError
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.loader import init_plugin_loader, lookup_loader
from moto import mock_aws
from support.account import CONTEXT, MASTER_CONTEXT, ROOT, Account, serve

PARAMETER = "/outport/lab/listings/secrets"
ALIAS = "alias/listings-lab"
VALUE = secrets.token_hex(12)
SETTINGS = f"""\
app_generated_secrets: [SECRET_KEY, SALT]
app_secrets:
  MAIL: {"A" * 40}
  BOTH: {"A" * 40}
app_environment: {{LEVEL: info}}
"""

init_plugin_loader()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account that has nothing."""
    with serve(tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture
def account(served: Account) -> Iterator[Account]:
    """An account with the key that playbooks/provision.yml creates, and no secrets."""
    create_key(served.client("kms"))
    yield served
    served.client("kms").delete_alias(AliasName=ALIAS)
    served.client("ssm").delete_parameters(Names=[PARAMETER])


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An inventory source with settings that have secrets, next to the lab's."""
    (tmp_path / "source/group_vars").mkdir(parents=True)
    (tmp_path / "source/hosts.yml").write_text("all: {}\n")
    (tmp_path / "source/group_vars/all.yml").write_text(SETTINGS)
    return tmp_path / "source"


def create_key(kms: Any) -> None:
    """Create the key that playbooks/provision.yml creates."""
    kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def store(account: Account, **document: str) -> None:
    """Store secrets, as the playbook does."""
    plain = json.dumps(document).encode()
    blob = account.client("kms").encrypt(KeyId=ALIAS, Plaintext=plain, EncryptionContext=CONTEXT)["CiphertextBlob"]
    value = base64.b64encode(blob).decode()
    account.client("ssm").put_parameter(Name=PARAMETER, Type="String", Value=value, Overwrite=True)


def run(account: Account, *options: str, text: str = "", refused: bool = False) -> str:
    """Run the playbook; return its output on one line, which never has the value."""
    code, output = account.play("secrets", *options, "--diff", "-vvv", text=text)
    assert (code != 0) == refused, output[-6000:]
    assert VALUE not in output
    return " ".join(output.split())


def changes(output: str) -> int:
    """Return the number of changed tasks."""
    return int(re.findall(r"localhost : .*?\bchanged=(\d+)", output)[-1])


def test_a_secret_is_set_replaced_and_removed(account: Account, tmp_path: Path) -> None:
    output = run(account, "-e", "secret_name=API_TOKEN", text=f"{VALUE} é\nline\n")
    assert account.document("secrets") == {"API_TOKEN": f"{VALUE} é\nline"}
    assert "API_TOKEN was set. Deliver the change to the app: ansible-playbook playbooks/deploy.yml" in output
    tags = account.client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=PARAMETER)["TagList"]
    assert {"Key": "ManagedBy", "Value": "outport"} in tags

    file = tmp_path / "secret"
    file.write_text(f"{VALUE}\n")
    options = ("-e", "secret_name=API_TOKEN", "-e", f"secret_file={file}")
    output = run(account, *options, "--check")
    assert changes(output) == 1
    assert "API_TOKEN would be set" in output
    assert account.document("secrets")["API_TOKEN"] != VALUE
    run(account, *options)
    assert account.document("secrets") == {"API_TOKEN": VALUE}
    output = run(account, *options)
    assert changes(output) == 0
    assert "API_TOKEN has this value already" in output

    output = run(account, "-e", "secret_remove=API_TOKEN")
    assert "API_TOKEN was removed" in output
    # A deploy reads an empty document as it does any other.
    assert account.document("secrets") == {}


def test_the_list_has_names_and_places_only(account: Account, environment: Path) -> None:
    store(account, API_TOKEN=VALUE, SECRET_KEY=VALUE, BOTH=VALUE, LEVEL=VALUE)
    output = run(account, "-i", "inventory/lab", "-i", str(environment))
    assert changes(output) == 0
    settings = environment / "group_vars/all.yml"
    assert f"API_TOKEN {PARAMETER} " in output
    assert f"SECRET_KEY {PARAMETER}, in app_generated_secrets ({settings}:1) " in output
    assert f"BOTH {PARAMETER}, overridden in app_secrets ({settings}:4) " in output
    assert f"LEVEL {PARAMETER}, overrides app_environment ({settings}:5) " in output
    assert f"MAIL app_secrets ({settings}:3) " in output
    assert (
        f"SALT not generated yet, playbooks/provision.yml does it; in app_generated_secrets ({settings}:1) " in output
    )
    assert re.search(rf"{PARAMETER} is an SSM parameter, last changed at 20\d\d-\d\d-\d\d \d\d:\d\d UTC", output)


def test_a_change_that_is_not_possible_is_refused(account: Account, environment: Path) -> None:
    store(account, SECRET_KEY="first", LARGE="x" * 2000)
    stored, settings = account.document("secrets"), environment / "group_vars/all.yml"
    large = "is too large for an SSM parameter. Nothing was changed."
    for options, text, message in (
        (
            ["-e", "secret_remove=SALT_2"],
            "",
            f"There is no secret SALT_2 in {PARAMETER}. Nothing was changed. It has: LARGE, SECRET_KEY",
        ),
        (["-e", "secret_name=MAIL"], VALUE, f"MAIL is in app_secrets ({settings}:3). Nothing was changed."),
        (["-e", "secret_remove=MAIL"], "", f"MAIL is in app_secrets ({settings}:3), and not in {PARAMETER}"),
        (
            ["-e", "secret_remove=SECRET_KEY"],
            "",
            f"SECRET_KEY is in app_generated_secrets ({settings}:1), so playbooks",
        ),
        (["-e", "secret_name=SECOND"], VALUE * 40, large),
        (["-e", "secret_name=SECOND", "--check"], VALUE * 40, large),
        (["-e", "secret_name=app_repository_token"], VALUE, "encrypt.yml -e secret_name=app_repository_token"),
        (["-e", "secret_name=API_TOKEN", "-e", "secret_remove=SECRET_KEY"], VALUE, "one at a time"),
        (["-e", f"secret_file={settings}"], "", "secret_name is missing"),
        (["-e", "secret_name=API-TOKEN"], VALUE, 'found "API-TOKEN"'),
    ):
        source = ["-i", "inventory/lab", "-i", str(environment)]
        assert message in run(account, *source, *options, text=text, refused=True), options
    assert account.document("secrets") == stored


def test_without_the_key_the_message_names_the_playbook_that_creates_it(served: Account) -> None:
    output = run(served, "-e", "secret_name=API_TOKEN", text=VALUE, refused=True)
    assert f"There is no KMS key {ALIAS}. Run playbooks/provision.yml first" in output


@pytest.mark.parametrize(
    ("content", "variables", "message"),
    [
        (b"", {}, "The value of API_TOKEN is empty"),
        (b"\n", {}, "is empty"),
        (b"a\0b", {}, "has a NUL byte"),
        (b"\xff", {}, "is not valid UTF-8"),
        (b"x" * 4097, {}, "KMS encrypts at most 4096"),
        (b"value", {"secret_value": "x"}, "on the command line, where every user of this machine can read it"),
    ],
)
def test_a_value_that_no_variable_can_have_is_refused(
    tmp_path: Path, content: bytes, variables: dict[str, Any], message: str
) -> None:
    lookup_loader.add_directory(str(ROOT / "plugins/lookup"))
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(AnsibleLookupError, match=message):
        lookup_loader.get("secret_input").run(["API_TOKEN"], variables, file=str(tmp_path / "secret"))


class Failure(Exception):
    """The module has failed."""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module kms_parameter, in an account of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    spec = importlib.util.spec_from_file_location("kms_parameter", ROOT / "plugins/modules/kms_parameter.py")
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kms_parameter", loaded)
    spec.loader.exec_module(loaded)
    with mock_aws():
        create_key(boto3.client("kms", "eu-west-1"))
        yield loaded


def parameter_of(module: Any) -> Any:
    """Return the parameter as one run of the module has it."""

    def fail(msg: str, **_details: Any) -> None:
        raise Failure(msg)

    def client(name: str, **_options: Any) -> Any:
        plain = boto3.client(name, "eu-west-1")

        class Client:
            """Calls without the option of Ansible's client."""

            def __getattr__(self, action: str) -> Callable[..., Any]:
                return lambda aws_retry=False, **options: getattr(plain, action)(**options)

        return Client()

    ansible = SimpleNamespace(params={"key_id": ALIAS}, client=client, fail_json=fail)
    return module.Parameter(ansible, PARAMETER, CONTEXT)


def adding(**secrets: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the change of a run that sets these secrets."""
    return lambda document: document | secrets


@pytest.mark.parametrize("first", [{}, {"OLD": "0"}])
def test_two_runs_at_the_same_time_lose_no_change(module: Any, first: dict[str, str]) -> None:
    one, other = parameter_of(module), parameter_of(module)
    if first:
        one.store(one.read(), adding(**first))
    found = one.read(), other.read()
    one.store(found[0], adding(A="1"))
    other.store(found[1], adding(B="2"))
    assert one.read().document == first | {"A": "1", "B": "2"}


@pytest.mark.parametrize("others", [1, 2])
def test_a_run_that_other_runs_interrupt_again_and_again_fails(module: Any, others: int) -> None:
    one, other = parameter_of(module), parameter_of(module)
    one.store(one.read(), adding(OLD="0"))

    def interrupted(document: dict[str, Any]) -> dict[str, Any]:
        for _ in range(others):
            other.store(other.read(), adding(B=f"{other.read().version}"))
        return document | {"A": "1"}

    with pytest.raises(Failure, match="a change may be lost"):
        one.store(one.read(), interrupted)


def test_the_largest_document_fits_into_a_parameter(module: Any) -> None:
    parameter = parameter_of(module)
    text = "x" * (module.LARGEST - len(module.serialize({"A": ""})))
    parameter.store(parameter.read(), adding(A=text))
    stored = boto3.client("ssm", "eu-west-1").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    # A ciphertext of KMS has about 160 bytes more than its plain text; moto's has less.
    ours = len(base64.b64decode(stored)) - module.LARGEST
    assert len(stored) + (172 - ours) * 4 / 3 <= 4096


def stored(name: str, context: dict[str, str]) -> dict[str, Any]:
    """Return the document of a parameter."""
    ciphertext = boto3.client("ssm", "eu-west-1").get_parameter(Name=name)["Parameter"]["Value"]
    blob = base64.b64decode(ciphertext)
    plain = boto3.client("kms", "eu-west-1").decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"]
    return json.loads(plain)


def run_module(module: Any, **options: Any) -> bool:
    """Run the module for the database credentials; return whether it made a change."""
    result: dict[str, Any] = {}

    def end(_module: Any, **values: Any) -> None:
        result.update(values)

    arguments = {"name": APP, "encryption_context": CONTEXT, "key_id": ALIAS, "region": "eu-west-1", **options}
    with patch_module_args(arguments), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.AnsibleAWSModule, "exit_json", end)
        module.main()
    return bool(result["changed"])


APP, MASTER = "/outport/lab/listings/database", "/outport/lab/listings/database-master"


def run_for_both(module: Any, rotate: bool = False) -> bool:
    """Run the module as provision.yml does, for the master user and the app's; return whether it made a change."""
    master = {"name": MASTER, "encryption_context": MASTER_CONTEXT, "values": {"username": "outport"}}
    former = {"name": APP, "encryption_context": CONTEXT}
    changed = run_module(module, **master, generate=["password"], inherit=former, rotate=rotate)
    return run_module(module, values={"username": "listings_app"}, generate=["password"]) or changed


def test_an_app_that_logged_in_as_the_master_user_gets_another_password(module: Any) -> None:
    run_module(module, values={"username": "outport", "host": "db"}, generate=["password"])
    former = stored(APP, CONTEXT)
    assert run_for_both(module)
    master, app = stored(MASTER, MASTER_CONTEXT), stored(APP, CONTEXT)
    assert master == {"username": "outport", "password": former["password"]}
    assert (app["username"], app["host"]) == ("listings_app", "db")
    assert app["password"] != former["password"]
    assert not run_for_both(module)
    assert (stored(MASTER, MASTER_CONTEXT), stored(APP, CONTEXT)) == (master, app)


def test_a_takeover_that_was_interrupted_between_both_parameters_is_completed(module: Any) -> None:
    run_module(module, values={"username": "outport"}, generate=["password"])
    former = stored(APP, CONTEXT)["password"]
    run_for_both(module)
    master = stored(MASTER, MASTER_CONTEXT)
    run_module(module, values={"username": "outport"}, generate=["password"])
    assert run_for_both(module)
    assert stored(MASTER, MASTER_CONTEXT) == master == {"username": "outport", "password": former}
    assert stored(APP, CONTEXT)["password"] != former


def test_a_new_environment_has_two_passwords(module: Any) -> None:
    assert run_for_both(module)
    assert stored(MASTER, MASTER_CONTEXT)["password"] != stored(APP, CONTEXT)["password"]


def test_the_rotation_replaces_the_master_users_password_only(module: Any) -> None:
    run_for_both(module)
    master, app = stored(MASTER, MASTER_CONTEXT), stored(APP, CONTEXT)
    assert run_for_both(module, rotate=True)
    assert stored(MASTER, MASTER_CONTEXT)["password"] != master["password"]
    assert stored(APP, CONTEXT) == app
