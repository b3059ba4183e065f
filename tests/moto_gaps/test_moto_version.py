"""The version of moto that the fixes are for."""

import moto
import pytest

from lab import moto_gaps


def test_another_version_of_moto_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto, "__version__", "9.9.9")
    with pytest.raises(RuntimeError, match=r"patches moto 5\.2\.5, found 9\.9\.9"):
        moto_gaps.close_gaps.__wrapped__()
