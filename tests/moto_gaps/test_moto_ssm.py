"""SSM as AWS answers: sizes of parameters."""

import pytest
from botocore.exceptions import ClientError
from support.moto import client


def test_a_standard_parameter_has_a_largest_value() -> None:
    ssm = client("ssm")
    parameter = {"Name": "/shop/secrets", "Type": "String"}
    ssm.put_parameter(**parameter, Value="x" * 4096)
    with pytest.raises(ClientError, match="maximum parameter value of 4096 characters"):
        ssm.put_parameter(**parameter, Value="x" * 4097, Overwrite=True)
    ssm.put_parameter(**parameter, Value="x" * 4097, Overwrite=True, Tier="Advanced")
