"""Ansible lookup: encrypt a text with KMS."""

from __future__ import annotations

import base64
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: kms_ciphertext
short_description: Encrypt a text with KMS
description:
  - Returns the ciphertext of each text, in base64. Only a caller who may use the key and supplies the same context can decrypt it.
options:
  _terms: {description: Texts of at most 4096 bytes., required: true, type: list, elements: str}
  key_id: {description: "The key: its ARN, or alias/NAME.", required: true, type: str}
  encryption_context: {description: "Encryption context, which a caller must supply to decrypt.", required: true, type: dict}
extends_documentation_fragment: [amazon.aws.boto3, amazon.aws.common.plugins, amazon.aws.region.plugins]
author: [Outport]
"""


class LookupModule(AWSLookupBase):
    """The lookup `kms_ciphertext`."""

    def run(self, terms: list[str], variables: dict[str, Any], **kwargs: Any) -> list[str]:
        """Return the ciphertext of each text."""
        super().run(terms, variables, **kwargs)
        kms = self.client("kms", AWSRetry.jittered_backoff())
        key, context = self.get_option("key_id"), self.get_option("encryption_context")
        try:
            found = [
                kms.encrypt(KeyId=key, Plaintext=str(term).encode(), EncryptionContext=context, aws_retry=True)
                for term in terms
            ]
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(
                f"KMS can't encrypt with {key}: {error}. Run playbooks/provision.yml first; it creates the key."
            ) from None
        return [base64.b64encode(one["CiphertextBlob"]).decode() for one in found]
