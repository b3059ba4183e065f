"""An account with the fixes of lab/moto_gaps."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from lab import moto_gaps


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account in moto with the fixes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    moto_gaps.close_gaps()
    with mock_aws():
        yield
