"""Ansible lookup: one field, or all fields, of the document that the module kms_parameter stores."""

from __future__ import annotations

import base64
import json
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.amazon.aws.plugins.plugin_utils.lookup import AWSLookupBase
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: kms_parameter
short_description: Decrypt a kms_parameter
description:
  - Returns one field, or all fields, of the JSON document that an SSM parameter contains as KMS ciphertext.
  - Pass the result only to options that are no_log.
options:
  _terms: {description: Names of parameters., required: true, type: list, elements: str}
  field: {description: Field of the document; all without it., type: str}
  encryption_context: {description: Encryption context of the document., required: true, type: dict}
  missing_ok:
    description: Return an empty string when the parameter or the field is missing, as in check mode before the first run.
    type: bool
    default: false
extends_documentation_fragment: [amazon.aws.boto3, amazon.aws.common.plugins, amazon.aws.region.plugins]
author: [Outport]
"""


class LookupModule(AWSLookupBase):
    """The lookup `kms_parameter`."""

    def run(self, terms: list[str], variables: dict[str, Any], **kwargs: Any) -> list[Any]:
        """Return the field, or the document, of each named parameter."""
        super().run(terms, variables, **kwargs)
        return [self._field(term) if self.get_option("field") else self._document(term) for term in terms]

    def _field(self, name: str) -> str:
        field = self.get_option("field")
        document = self._document(name)
        if field in document:
            return document[field]
        if self.get_option("missing_ok"):
            return ""
        raise AnsibleLookupError(f'The SSM parameter {name} has no field "{field}". Run playbooks/provision.yml first.')

    def _document(self, name: str) -> dict[str, Any]:
        try:
            ssm = self.client("ssm", AWSRetry.jittered_backoff())
            text = ssm.get_parameter(Name=name, aws_retry=True)["Parameter"]["Value"]
        except is_boto3_error_code("ParameterNotFound"):
            return {}
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(f"Cannot read the SSM parameter {name}: {error}") from None
        try:
            kms = self.client("kms", AWSRetry.jittered_backoff())
            context = self.get_option("encryption_context")
            plain = kms.decrypt(CiphertextBlob=base64.b64decode(text), EncryptionContext=context, aws_retry=True)
            return json.loads(plain["Plaintext"])
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(f"Cannot decrypt the SSM parameter {name}: {error}") from None
        except ValueError:
            # Not the error's own text: it quotes what it could not parse.
            raise AnsibleLookupError(f"The SSM parameter {name} does not contain a JSON ciphertext.") from None
