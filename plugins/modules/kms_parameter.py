#!/usr/bin/python
"""Ansible module: store a JSON document of credentials as KMS ciphertext in an SSM parameter."""

from __future__ import annotations

import base64
import json
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
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
  - When another run writes at the same time, both changes are kept.
  - Secrets are generated or decrypted here, and never appear in an argument, a result, a diff or a log.
options:
  name: {description: Name of the parameter., type: str, required: true}
  key_id: {description: "The KMS key: its ARN, or alias/NAME.", type: str, required: true}
  encryption_context: {description: "Encryption context, which a caller must supply to decrypt.", type: dict, required: true}
  values: {description: Fields to set; not for secrets., type: dict, default: {}}
  ciphertexts: {description: Secret fields to set, as KMS ciphertexts (base64) with the same encryption context., type: dict, default: {}}
  remove: {description: Fields to remove., type: list, elements: str, default: []}
  generate:
    description: Secret fields to generate when they are missing, and again when one of I(values) replaces another value.
    type: list
    elements: str
    default: []
  rotate: {description: Generate those fields again in any case., type: bool, default: false}
  inherit:
    description: Parameter whose fields a new parameter gets, instead of generated ones, if it has the same I(values).
    type: dict
    suboptions:
      name: {description: Name of the parameter., type: str, required: true}
      encryption_context: {description: Its encryption context., type: dict, required: true}
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
modified: {description: "Time of the last change before this run, in UTC; empty for a new parameter.", type: str, returned: success}
"""

# RDS refuses "/", "@", double quotes and spaces, and more than 41 characters.
ALPHABET = string.ascii_letters + string.digits + "-_"
LENGTH = 32
# Bytes of a document: with what KMS adds, its base64 has at most the 4,096 characters of a standard parameter.
LARGEST = 2900
# Writes of other runs at the same time that are tolerated.
ATTEMPTS = 3


def generate_secret() -> str:
    """Return a new password that RDS accepts."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


@dataclass(frozen=True)
class Found:
    """The parameter at a version: its document and the ARN of the key that encrypts it; version 0 when there is none."""

    document: dict[str, Any]
    key: str = ""
    version: int = 0
    modified: str = ""


def serialize(document: dict[str, Any]) -> bytes:
    """Return a document as JSON."""
    return to_bytes(json.dumps(document, sort_keys=True))


class Parameter:
    """A parameter in AWS."""

    def __init__(self, module: AnsibleAWSModule, name: str, context: dict[str, str]) -> None:
        self.module = module
        self.name = name
        self.context = context
        self.ssm = module.client("ssm", retry_decorator=AWSRetry.jittered_backoff())
        self.kms = module.client("kms", retry_decorator=AWSRetry.jittered_backoff())
        self.key = self._key(module.params["key_id"])

    def _key(self, name: str) -> str:
        """Return the ARN of a key."""
        if name.startswith("arn:"):
            return name
        try:
            return str(self.kms.describe_key(KeyId=name, aws_retry=True)["KeyMetadata"]["Arn"])
        except is_boto3_error_code("NotFoundException"):
            self.module.fail_json(
                msg=f"There is no KMS key {name}. Run playbooks/provision.yml first; it creates the key."
            )
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg=f"Cannot find the KMS key {name}")

    def read(self, version: int = 0) -> Found:
        """Return the parameter at a version, by default the newest."""
        try:
            name = f"{self.name}:{version}" if version else self.name
            parameter = self.ssm.get_parameter(Name=name, aws_retry=True)["Parameter"]
        except is_boto3_error_code("ParameterNotFound"):
            return Found({})
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg=f"Cannot read the SSM parameter {self.name}")
        try:
            plain, key = self.decrypt(parameter["Value"])
            modified = parameter["LastModifiedDate"].astimezone(UTC).isoformat(timespec="seconds")
            return Found(json.loads(plain), key, parameter["Version"], modified)
        except (BotoCoreError, ClientError) as error:
            advice = "Nothing was changed. Check the key's state and the encryption context."
            self.module.fail_json_aws(error, msg=f"Cannot decrypt the SSM parameter {self.name}. {advice}")
        except ValueError:
            # Not the error's own text: it quotes what it could not parse.
            self.module.fail_json(
                msg=f"The SSM parameter {self.name} does not contain a JSON ciphertext. Nothing was changed."
            )

    def decrypt(self, ciphertext: str) -> tuple[str, str]:
        """Return the plain text of a base64 ciphertext, and the ARN of its key."""
        blob = base64.b64decode(ciphertext)
        plain = self.kms.decrypt(CiphertextBlob=blob, EncryptionContext=self.context, aws_retry=True)
        return plain["Plaintext"].decode(), plain["KeyId"]

    def secrets(self) -> dict[str, str]:
        """Return the plain texts of the fields that are given as ciphertexts."""
        try:
            return {name: self.decrypt(text)[0] for name, text in self.module.params["ciphertexts"].items()}
        except (BotoCoreError, ClientError) as error:
            self.module.fail_json_aws(error, msg="Cannot decrypt a new value. Nothing was changed")
        except ValueError:
            self.module.fail_json(msg="A new value is not a ciphertext in base64. Nothing was changed.")

    def store(self, found: Found, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Store the changed document.

        PutParameter has no condition, but returns the version that it made. When another run has written since the parameter was read,
        this write has replaced that one's document, and the change is repeated on it.
        """
        document, latest = found.document, found.version
        for _ in range(ATTEMPTS):
            version = self._write(change(document), new=latest == 0)
            if version == latest + 1:
                return
            if version > latest + 2:
                break
            found = self.read(max(version - 1, 0))
            document, latest = found.document, version or found.version
        self.module.fail_json(
            msg=f"Other runs change the SSM parameter {self.name} at the same time, and a change may be lost. Check it when they have ended."
        )

    def _write(self, document: dict[str, Any], new: bool) -> int:
        """Encrypt and store the document, and return its version; 0 when it should be new and another run has just created one."""
        try:
            blob = self.kms.encrypt(
                KeyId=self.key, Plaintext=serialize(document), EncryptionContext=self.context, aws_retry=True
            )["CiphertextBlob"]
            value = base64.b64encode(blob).decode()
            stored = self.ssm.put_parameter(
                Name=self.name, Type="String", Value=value, Overwrite=not new, aws_retry=True
            )
            return int(stored["Version"])
        except is_boto3_error_code("ParameterAlreadyExists"):
            return 0
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


def generated_secrets(module: AnsibleAWSModule, new: bool) -> dict[str, str]:
    """Return the secret fields to generate; those of a `new` parameter may be another parameter's."""
    options = module.params
    generated = {field: generate_secret() for field in options["generate"]}
    if new and options["inherit"]:
        former = Parameter(module, options["inherit"]["name"], options["inherit"]["encryption_context"]).read().document
        if options["values"].items() <= former.items():
            generated |= {field: former[field] for field in generated if field in former}
    return generated


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "key_id": {"type": "str", "required": True, "no_log": False},
            "encryption_context": {"type": "dict", "required": True},
            "values": {"type": "dict", "default": {}},
            "ciphertexts": {"type": "dict", "default": {}},
            "remove": {"type": "list", "elements": "str", "default": []},
            "generate": {"type": "list", "elements": "str", "default": []},
            "rotate": {"type": "bool", "default": False},
            "inherit": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "encryption_context": {"type": "dict", "required": True},
                },
            },
            "tags": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    options = module.params
    parameter = Parameter(module, options["name"], options["encryption_context"])
    found, given = parameter.read(), parameter.secrets()
    generated = generated_secrets(module, new=found.version == 0)

    def change(document: dict[str, Any]) -> dict[str, Any]:
        kept = {field: value for field, value in document.items() if field not in options["remove"]}
        replaced = any(document.get(field, value) != value for field, value in options["values"].items())
        secrets = kept | generated if options["rotate"] or replaced else generated | kept
        changed = secrets | options["values"] | given
        if len(serialize(changed)) > LARGEST:
            module.fail_json(
                msg=f"With this change, the document is too large for an SSM parameter. Nothing was changed. At most {LARGEST} bytes fit into it:"
                " store the largest secret of the app in app_secrets in the settings, for which playbooks/encrypt.yml creates a ciphertext."
            )
        return changed

    before, after = found.document, change(found.document)
    differing = sorted(
        field for field in before | after if field not in before or field not in after or before[field] != after[field]
    )
    new = found.version == 0
    rewrite = new or bool(differing) or found.key != parameter.key
    if rewrite and not module.check_mode:
        parameter.store(found, change)
    retag = False
    if options["tags"] is not None:
        retag = parameter.tag(options["tags"]) if not new or not module.check_mode else True

    result: dict[str, Any] = {"changed": rewrite or retag, "fields": sorted(after), "modified": found.modified}
    if module._diff and rewrite:
        changed = differing or ["encryption key"]
        result["diff"] = {
            "before": {"fields": sorted(before)},
            "after": {"fields": sorted(after), "changed": changed},
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
