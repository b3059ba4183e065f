"""KMS as AWS answers: states of keys."""

import pytest
from botocore.exceptions import ClientError
from support.moto import client


def test_a_key_is_disabled_by_its_arn_and_then_rejects_requests() -> None:
    kms = client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=arn, Plaintext=b"text")["CiphertextBlob"]
    kms.disable_key(KeyId=arn)
    with pytest.raises(ClientError, match="DisabledException"):
        kms.decrypt(CiphertextBlob=blob)
    with pytest.raises(ClientError, match="DisabledException"):
        kms.encrypt(KeyId=arn, Plaintext=b"text")
    kms.enable_key(KeyId=arn)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"text"
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with pytest.raises(ClientError, match="KMSInvalidStateException"):
        kms.decrypt(CiphertextBlob=blob)
