"""IAM as AWS answers: what was just created is not visible to EC2 yet."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend
from support.moto import client

from lab.moto_gaps import iam


def launch() -> Any:
    """Launch an instance with the instance profile `web`."""
    return client("ec2").run_instances(
        ImageId="ami-00000000000000013", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "web"}
    )


def test_ec2_sees_a_new_instance_profile_and_its_role_after_some_time() -> None:
    found = client("iam")
    found.create_role(RoleName="web", AssumeRolePolicyDocument="{}")
    arn = found.create_instance_profile(InstanceProfileName="web")["InstanceProfile"]["Arn"]
    found.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    profile = get_backend("iam")["123456789012"]["aws"].get_instance_profile("web")
    with pytest.raises(ClientError, match=r"Invalid IAM Instance Profile name"):
        launch()
    profile.create_date -= timedelta(seconds=iam.DELAY)
    with pytest.raises(ClientError, match=f'"{arn}" has no associated IAM Roles'):
        launch()
    profile.role_added -= timedelta(seconds=2 * iam.DELAY)
    assert launch()["Instances"][0]["IamInstanceProfile"]["Arn"] == arn
