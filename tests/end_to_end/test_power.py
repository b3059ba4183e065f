"""A host that loses its power: what it serves, it serves again by itself."""

import time
from collections.abc import Callable

import boto3

from lab import operations
from lab.layout import AWS_ENDPOINT, REGION
from lab.visitor import Visitor

WAIT = 90


def test_a_host_that_is_stopped_and_started_serves_again(site: Visitor) -> None:
    host = operations.find_host("web-1")
    ec2 = boto3.client(
        "ec2",
        endpoint_url=AWS_ENDPOINT,
        region_name=REGION,
        aws_access_key_id="OUTPORTLAB",
        aws_secret_access_key="tests",
    )
    ec2.stop_instances(InstanceIds=[host.id])
    assert within(WAIT, lambda: not answers(site))
    ec2.start_instances(InstanceIds=[host.id])
    assert within(WAIT, lambda: operations.find_host("web-1").state == "running")
    assert within(WAIT, lambda: answers(site))


def answers(site: Visitor) -> bool:
    """Whether the app answers through the proxy."""
    try:
        return site.get("/api/v1/listings").status == 200
    except OSError:
        return False


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether something comes to be true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.5)
    return False
