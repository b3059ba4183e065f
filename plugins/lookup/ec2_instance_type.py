"""Ansible lookup: what EC2 offers of an instance type."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: ec2_instance_type
short_description: Zones and architectures of an EC2 instance type
description:
  - Returns a dictionary. C(zones) are the names of the region's availability zones that are available to the account and offer the type, in order.
  - C(architectures) are those of images that it can run, such as x86_64. Both are empty for a type that the region does not have.
options:
  _terms: {description: One instance type., required: true, type: list, elements: str}
extends_documentation_fragment: [amazon.aws.boto3, amazon.aws.common.plugins, amazon.aws.region.plugins]
author: [Outport]
"""


class LookupModule(AWSLookupBase):
    """The lookup `ec2_instance_type`."""

    def run(self, terms: list[str], variables: dict[str, Any], **kwargs: Any) -> list[dict[str, list[str]]]:
        """Return the zones and architectures."""
        super().run(terms, variables, **kwargs)
        ec2 = self.client("ec2", AWSRetry.jittered_backoff())
        usable = [
            {"Name": "state", "Values": ["available"]},
            {"Name": "zone-type", "Values": ["availability-zone"]},
        ]
        by_type = [{"Name": "instance-type", "Values": terms}]
        try:
            found = ec2.describe_availability_zones(Filters=usable, aws_retry=True)["AvailabilityZones"]
            offered = ec2.describe_instance_type_offerings(
                LocationType="availability-zone", Filters=by_type, aws_retry=True
            )["InstanceTypeOfferings"]
            # A filter finds nothing where the parameter InstanceTypes is an error.
            types = ec2.describe_instance_types(Filters=by_type, aws_retry=True)["InstanceTypes"]
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(f"Cannot read what EC2 offers of {terms[0]}: {error}") from None
        architectures = {name for one in types for name in one["ProcessorInfo"]["SupportedArchitectures"]}
        zones = {zone["ZoneName"] for zone in found} & {one["Location"] for one in offered}
        return [{"zones": sorted(zones), "architectures": sorted(architectures)}]
