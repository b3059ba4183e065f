"""IAM: what was just created is not visible to EC2 yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.utils import filter_iam_instance_profiles
from moto.iam.models import IAMBackend

from lab.moto_gaps.patches import gap, wrap

# How long EC2 does not see a new instance profile, and then its role: seconds each, on AWS up to a minute.
DELAY = float(os.environ.get("OUTPORT_LAB_IAM_SECONDS", "8"))


@gap
def hide_new_instance_profiles_from_ec2() -> None:
    """IAM is eventually consistent: RunInstances refuses an instance profile of a few seconds ago, and then one without its role."""

    @wrap(IAMBackend, "add_role_to_instance_profile")
    def add(original: Callable[..., Any], self: Any, profile_name: str, role_name: str) -> None:
        original(self, profile_name, role_name)
        self.get_instance_profile(profile_name).role_added = utcnow()

    @wrap(EC2Backend, "run_instances")
    def run(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        arn, name = kwargs.get("iam_instance_profile_arn"), kwargs.get("iam_instance_profile_name")
        if arn or name:
            profile = filter_iam_instance_profiles(self.account_id, self.partition, arn, name)
            since_creation = utcnow() - profile.create_date
            since_role = utcnow() - getattr(profile, "role_added", profile.create_date)
            if since_creation < timedelta(seconds=DELAY):
                parameter = "arn" if arn else "name"
                raise _invalid(
                    f"Value ({arn or name}) for parameter iamInstanceProfile.{parameter} is invalid. "
                    f"Invalid IAM Instance Profile {'ARN' if arn else 'name'}"
                )
            if not profile.roles or since_role < timedelta(seconds=2 * DELAY):
                raise _invalid(f'IAM Instance Profile "{profile.arn}" has no associated IAM Roles')
        return original(self, *args, **kwargs)


def _invalid(message: str) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", message)
