"""S3 as AWS answers: bucket policies."""

import json

import pytest
from botocore.exceptions import ClientError
from support.moto import REGION, client


def test_a_tls_only_policy_allows_callers_and_other_denials_hold() -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shop/*"}
    tls_only = statement | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket="shop", Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    s3.put_object(Bucket="shop", Key="dump", Body=b"text")
    assert s3.get_object(Bucket="shop", Key="dump")["Body"].read() == b"text"
    s3.put_bucket_policy(Bucket="shop", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    with pytest.raises(ClientError, match="Forbidden"):
        s3.put_object(Bucket="shop", Key="dump", Body=b"text")
