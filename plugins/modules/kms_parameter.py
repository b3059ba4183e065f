#!/usr/bin/python
"""Ansible module: store a JSON document of credentials as KMS ciphertext in an SSM parameter."""

from __future__ import annotations

import base64
import json
import secrets
import string
from typing import Any

from ansible.module_utils.common.text.converters import to_bytes
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
    compare_aws_tags,
)
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
module: kms_parameter
short_description: Store credentials as KMS ciphertext in an SSM parameter
description:
  - Ensures that an SSM parameter contains a JSON document, as base64 ciphertext of KMS under an encryption context.
  - Other existing fields are not changed. A new ciphertext is written only when something differs.
  - Secrets are generated here and never appear in a result, a diff or a log.
options:
  name: {description: Name of the parameter., type: str, required: true}
  key_id: {description: ARN of the KMS key., type: str, required: true}
  encryption_context: {description: "Encryption context, which a caller must supply to decrypt.", type: dict, required: true}
  values: {description: Fields to set; not for secrets., type: dict, default: {}}
  generate: {description: Secret fields to generate when they are missing., type: list, elements: str, default: []}
  tags: {description: Tags of the parameter., type: dict}
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
author: [Outport]
"""

EXAMPLES = r"""
- name: Store the database credentials
  kms_parameter:
    name: /outport/production/shop/database
    key_id: arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555
    encryption_context: {Application: shop, Environment: production}
    values: {username: shop}
    generate: [password]
"""

RETURN = r"""
fields: {description: Names of the document's fields., type: list, elements: str, returned: success}
"""

# RDS refuses "/", "@", double quotes and spaces, and more than 41 characters.
ALPHABET = string.ascii_letters + string.digits + "-_"
LENGTH = 32


def generate_secret() -> str:
    """Return a new password that RDS accepts."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


class Parameter:
    """The parameter as it is in AWS."""

    def __init__(self, module: AnsibleAWSModule) -> None:
        self.module = module
        self.name: str = module.params["name"]
        self.context: dict[str, str] = module.params["encryption_context"]
        self.ssm = module.client("ssm", retry_decorator=AWSRetry.jittered_backoff())
        self.kms = module.client("kms", retry_decorator=AWSRetry.jittered_backoff())

    def read(self) -> tuple[dict[str, Any] | None, str]:
        """Return the document (None when there is none) and the ARN of the key that it is encrypted with."""
        try:
            text = self.ssm.get_parameter(Name=self.name, aws_retry=True)["Parameter"]["Value"]
        except is_boto3_error_code("ParameterNotFound"):
            return None, ""
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg=f"Cannot read the SSM parameter {self.name}")
        try:
            plain = self.kms.decrypt(
                CiphertextBlob=base64.b64decode(text), EncryptionContext=self.context, aws_retry=True
            )
            return json.loads(plain["Plaintext"]), plain["KeyId"]
        except (BotoCoreError, ClientError) as error:
            advice = "Nothing was changed. Check the key's state and the encryption context."
            self.module.fail_json_aws(error, msg=f"Cannot decrypt the SSM parameter {self.name}. {advice}")
        except ValueError:
            # Not the error's own text: it quotes what it could not parse.
            self.module.fail_json(
                msg=f"The SSM parameter {self.name} does not contain a JSON ciphertext. Nothing was changed."
            )

    def write(self, document: dict[str, Any], new: bool) -> None:
        """Encrypt and store the document; a new parameter never overwrites one that another run has just created."""
        try:
            blob = self.kms.encrypt(
                KeyId=self.module.params["key_id"],
                Plaintext=to_bytes(json.dumps(document, sort_keys=True)),
                EncryptionContext=self.context,
                aws_retry=True,
            )["CiphertextBlob"]
            self.ssm.put_parameter(
                Name=self.name, Type="String", Value=base64.b64encode(blob).decode(), Overwrite=not new, aws_retry=True
            )
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg=f"Cannot write the SSM parameter {self.name}")

    def tag(self, wanted: dict[str, str]) -> bool:
        """Update the tags; return whether they differed."""
        target = {"ResourceType": "Parameter", "ResourceId": self.name}
        try:
            there = self.ssm.list_tags_for_resource(**target, aws_retry=True)["TagList"]
            add, remove = compare_aws_tags(boto3_tag_list_to_ansible_dict(there), wanted)
            if add and not self.module.check_mode:
                self.ssm.add_tags_to_resource(**target, Tags=ansible_dict_to_boto3_tag_list(add), aws_retry=True)
            if remove and not self.module.check_mode:
                self.ssm.remove_tags_from_resource(**target, TagKeys=remove, aws_retry=True)
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg=f"Cannot tag the SSM parameter {self.name}")
        return bool(add or remove)


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "key_id": {"type": "str", "required": True, "no_log": False},
            "encryption_context": {"type": "dict", "required": True},
            "values": {"type": "dict", "default": {}},
            "generate": {"type": "list", "elements": "str", "default": []},
            "tags": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    parameter = Parameter(module)
    found, key_arn = parameter.read()
    before = found or {}
    made = {field: generate_secret() for field in module.params["generate"] if field not in before}
    after = before | module.params["values"] | made

    differing = sorted(field for field in after if field not in before or before[field] != after[field])
    rewrite = found is None or bool(differing) or key_arn != module.params["key_id"]
    if rewrite and not module.check_mode:
        parameter.write(after, new=found is None)
    retag = False
    if module.params["tags"] is not None:
        retag = parameter.tag(module.params["tags"]) if found is not None or not module.check_mode else True

    result: dict[str, Any] = {"changed": rewrite or retag, "fields": sorted(after)}
    if module._diff and rewrite:
        changed = differing or ["encryption key"]
        result["diff"] = {
            "before": {"fields": sorted(before)},
            "after": {"fields": sorted(after), "changed": changed},
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
