"""An account in moto, in this process."""

from typing import Any

import boto3

REGION = "eu-west-1"


def client(service: str) -> Any:
    """Return a client of moto."""
    return boto3.client(service, region_name=REGION)


def create_database(**options: Any) -> dict[str, Any]:
    """Create a MySQL instance and return its description."""
    return client("rds").create_db_instance(
        DBInstanceIdentifier="shop",
        DBInstanceClass="db.t4g.micro",
        Engine="mysql",
        MasterUsername="outport",
        MasterUserPassword="not-a-secret",
        **{"AllocatedStorage": 20, "StorageType": "gp3"} | options,
    )["DBInstance"]
