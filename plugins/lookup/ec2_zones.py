"""Ansible lookup: the availability zones that offer an instance type."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: ec2_zones
short_description: Availability zones that offer an instance type
description:
  - Returns the names of the region's availability zones that are available to the account and offer the instance type, in order.
options:
  _terms: {description: One instance type., required: true, type: list, elements: str}
extends_documentation_fragment: [amazon.aws.boto3, amazon.aws.common.plugins, amazon.aws.region.plugins]
author: [Outport]
"""


class LookupModule(AWSLookupBase):
    """The lookup `ec2_zones`."""

    def run(self, terms: list[str], variables: dict[str, Any], **kwargs: Any) -> list[str]:
        """Return the names of the zones."""
        super().run(terms, variables, **kwargs)
        ec2 = self.client("ec2", AWSRetry.jittered_backoff())
        usable = [
            {"Name": "state", "Values": ["available"]},
            {"Name": "zone-type", "Values": ["availability-zone"]},
        ]
        try:
            found = ec2.describe_availability_zones(Filters=usable, aws_retry=True)["AvailabilityZones"]
            offered = ec2.describe_instance_type_offerings(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": terms}],
                aws_retry=True,
            )["InstanceTypeOfferings"]
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(f"Cannot list the zones that offer {terms[0]}: {error}") from None
        return sorted({zone["ZoneName"] for zone in found} & {one["Location"] for one in offered})
