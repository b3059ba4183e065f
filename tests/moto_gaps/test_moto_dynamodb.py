"""DynamoDB as AWS answers: descriptions of tables."""

from support.moto import client


def test_a_table_has_an_id_that_stays() -> None:
    dynamodb = client("dynamodb")
    key = {"AttributeName": "name"}
    created = dynamodb.create_table(
        TableName="leases",
        KeySchema=[{**key, "KeyType": "HASH"}],
        AttributeDefinitions=[{**key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]
    assert created["TableId"] == dynamodb.describe_table(TableName="leases")["Table"]["TableId"]
