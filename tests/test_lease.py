"""The lease that exactly one host holds: the program's logic against DynamoDB's conditional writes."""

import importlib.util
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

PROGRAM = Path(__file__).resolve().parent.parent / "roles/lease/files/outport-lease"
TABLE, SECONDS = "shop-production-leases", 180


class Clock:
    """Time that passes only when a test says so; each host may have its own."""

    def __init__(self, now: float = 0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The program as a module."""
    loader = SourceFileLoader("outport_lease", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client with the table that playbooks/provision.yml creates."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def hosts(program: ModuleType, client: Any) -> tuple[Any, Any]:
    """The leases of two hosts, whose clocks differ."""
    first, second = (
        program.Lease(client, TABLE, "primary", holder, SECONDS, Clock(now))
        for holder, now in (("i-1", 0), ("i-2", 1_000_000))
    )
    return first, second


def test_the_first_host_holds_it_and_the_second_does_not(hosts: tuple[Any, Any]) -> None:
    first, second = hosts
    assert [first.attempt(), second.attempt(), first.attempt(), second.attempt()] == [True, False, True, False]
    assert (first.valid(), second.valid()) == (True, False)


def test_a_host_that_renews_keeps_it_for_ever(hosts: tuple[Any, Any]) -> None:
    first, second = hosts
    for _ in range(100):
        assert first.attempt()
        assert not second.attempt()
        for host in hosts:
            host._clock.now += first.interval


def test_another_host_takes_over_when_it_has_not_changed_for_its_whole_time(hosts: tuple[Any, Any]) -> None:
    first, second = hosts
    first.attempt()
    assert not second.attempt()
    second._clock.now += SECONDS - 1
    assert not second.attempt()
    second._clock.now += 1
    assert second.attempt()
    # The first host was only slow: it notices, and does not take it back.
    assert not first.attempt()
    assert not first.valid()
    assert second.attempt()


def test_the_holder_stops_long_before_another_one_may_start(hosts: tuple[Any, Any], client: Any) -> None:
    """What it stops has 90 seconds: the time limit of the processes' units."""
    first, second = hosts
    first.attempt()
    second.attempt()
    cut_off(first)
    while first.valid():
        with pytest.raises(EndpointConnectionError):
            first.attempt()
        first._clock.now += first.interval
        second._clock.now += first.interval
        assert not second.attempt()
    assert first._clock.now + 90 + first.interval < SECONDS


def test_a_host_that_could_not_renew_for_a_moment_keeps_it(hosts: tuple[Any, Any], client: Any) -> None:
    first, second = hosts
    first.attempt()
    first.client, connected = None, first.client
    cut_off(first)
    with pytest.raises(EndpointConnectionError):
        first.attempt()
    first.client = connected
    assert first.valid()
    assert first.attempt()
    assert not second.attempt()


def test_a_renewal_whose_response_was_lost_is_not_a_loss(
    hosts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is sent again, with a condition that the first one has made untrue."""
    first, _ = hosts
    first.attempt()
    put = first.client.put_item

    def retry(**what: Any) -> Any:
        monkeypatch.undo()
        put(**what)
        return put(**what)

    monkeypatch.setattr(first.client, "put_item", retry)
    assert first.attempt()
    assert first.valid()


def test_a_host_that_restarts_has_it_again_at_once(hosts: tuple[Any, Any], program: ModuleType, client: Any) -> None:
    first, second = hosts
    first.attempt()
    again = program.Lease(client, TABLE, "primary", "i-1", SECONDS, Clock())
    assert again.attempt()
    assert not second.attempt()


def test_a_released_lease_is_free_at_once(hosts: tuple[Any, Any]) -> None:
    first, second = hosts
    first.attempt()
    assert not second.attempt()
    first.release()
    assert second.attempt()
    assert not first.attempt()


def test_a_former_holder_does_not_release_the_lease_of_another_host(hosts: tuple[Any, Any]) -> None:
    first, second = hosts
    first.attempt()
    second.attempt()
    second._clock.now += SECONDS
    assert second.attempt()
    first.release()
    assert second.attempt()


def test_two_hosts_that_see_it_expire_do_not_both_take_it(
    hosts: tuple[Any, Any], program: ModuleType, client: Any
) -> None:
    first, second = hosts
    third = program.Lease(client, TABLE, "primary", "i-3", SECONDS, Clock(50))
    first.attempt()
    for host in (second, third):
        host.attempt()
        host._clock.now += SECONDS
    # The third reads what the second is about to replace.
    read = third.read()
    assert second.attempt()
    third.read = lambda: read
    assert not third.attempt()


def test_a_table_that_does_not_exist_is_named_by_the_check(
    program: ModuleType, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "lease.json"
    text = '{"table": "other", "region": "eu-west-1", "endpoint_url": null, "holder": "i-1", "seconds": 180, "target": "x.target"}'
    config.write_text(text)
    monkeypatch.setattr("sys.argv", ["outport-lease", str(config), "check"])
    with pytest.raises(
        SystemExit, match=r"The DynamoDB table other can't be read: .*Run playbooks/provision\.yml first"
    ):
        program.main()


def cut_off(host: Any) -> None:
    """Make the endpoint unreachable for a host."""

    class Unreachable:
        def __getattr__(self, name: str) -> Any:
            def fail(**_: Any) -> None:
                raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

            return fail

    host.client = Unreachable()
