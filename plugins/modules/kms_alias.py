#!/usr/bin/python
"""Ansible module: delete the alias of a KMS key."""

from __future__ import annotations

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: kms_alias
short_description: Delete the alias of a KMS key
description:
  - Ensures that an alias does not exist, also that of a key that is pending deletion. The key is not changed.
options:
  name: {description: Name of the alias, without the prefix alias/., type: str, required: true}
  state: {description: State of the alias., type: str, choices: [absent], required: true}
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
author: [Outport]
"""

EXAMPLES = r"""
- name: Delete the alias of the key
  kms_alias:
    name: shop-production
    state: absent
"""

RETURN = ""


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["absent"], "required": True},
        },
        supports_check_mode=True,
    )
    kms = module.client("kms", retry_decorator=AWSRetry.jittered_backoff())
    alias = f"alias/{module.params['name']}"
    try:
        kms.describe_key(KeyId=alias, aws_retry=True)
        if not module.check_mode:
            kms.delete_alias(AliasName=alias, aws_retry=True)
    except is_boto3_error_code("NotFoundException"):
        module.exit_json(changed=False)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Cannot delete the KMS alias {alias}")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
