"""The resources of an account in AWS, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.account import Account

ROLE = '{"Version": "2012-10-17", "Statement": []}'


def names(account: Account) -> set[str]:
    """Return all resources of the account that are not AWS's own: a word for the kind, and a name."""
    return {f"{kind} {name}" for kind, name in (*_network(account), *_databases(account), *_others(account))}


def _tag(resource: dict[str, Any], otherwise: str) -> str:
    """Return a resource's Name tag, or another name."""
    return next((tag["Value"] for tag in resource.get("Tags", []) if tag["Key"] == "Name"), str(resource[otherwise]))


def _network(account: Account) -> Iterator[tuple[str, str]]:
    ec2 = account.client("ec2")
    for vpc in ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["false"]}])["Vpcs"]:
        yield "VPC", _tag(vpc, "VpcId")
        within = {"Filters": [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]}
        for subnet in ec2.describe_subnets(**within)["Subnets"]:
            yield "subnet", _tag(subnet, "SubnetId")
        for table in ec2.describe_route_tables(**within)["RouteTables"]:
            if not any(one["Main"] for one in table["Associations"]):
                yield "route table", _tag(table, "RouteTableId")
        for group in ec2.describe_security_groups(**within)["SecurityGroups"]:
            if group["GroupName"] != "default":
                yield "security group", group["GroupName"]
    for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
        yield "gateway", _tag(gateway, "InternetGatewayId")
    for reservation in ec2.describe_instances()["Reservations"]:
        for host in reservation["Instances"]:
            if host["State"]["Name"] != "terminated":
                yield "host", _tag(host, "InstanceId")
    for address in ec2.describe_addresses()["Addresses"]:
        yield "address", address["PublicIp"]
    for pair in ec2.describe_key_pairs()["KeyPairs"]:
        yield "key pair", pair["KeyName"]


def _databases(account: Account) -> Iterator[tuple[str, str]]:
    rds = account.client("rds")
    for database in rds.describe_db_instances()["DBInstances"]:
        yield "database", database["DBInstanceIdentifier"]
    for snapshot in rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]:
        yield "snapshot", snapshot["DBSnapshotIdentifier"]
    for group in rds.describe_db_subnet_groups()["DBSubnetGroups"]:
        yield "subnet group", group["DBSubnetGroupName"]
    for group in rds.describe_db_parameter_groups()["DBParameterGroups"]:
        if not group["DBParameterGroupName"].startswith("default."):
            yield "parameter group", group["DBParameterGroupName"]


def _others(account: Account) -> Iterator[tuple[str, str]]:
    iam, kms, route53 = (account.client(name) for name in ("iam", "kms", "route53"))
    for role in iam.list_roles()["Roles"]:
        yield "role", role["RoleName"]
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        # Those of the operator are an administrator's.
        if "-operator-" not in policy["PolicyName"]:
            yield "policy", policy["PolicyName"]
    for profile in iam.list_instance_profiles()["InstanceProfiles"]:
        yield "profile", profile["InstanceProfileName"]
    for alias in kms.list_aliases()["Aliases"]:
        if not alias["AliasName"].startswith("alias/aws/") and "TargetKeyId" in alias:
            yield "key", alias["AliasName"]
    for parameter in account.client("ssm").describe_parameters()["Parameters"]:
        yield "parameter", parameter["Name"]
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        yield "bucket", bucket["Name"]
    for table in account.client("dynamodb").list_tables()["TableNames"]:
        yield "table", table
    for group in account.client("logs").describe_log_groups()["logGroups"]:
        yield "log group", group["logGroupName"]
    for zone in route53.list_hosted_zones()["HostedZones"]:
        yield "zone", zone["Name"]
        for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]:
            if record["Type"] == "A":
                yield "record", record["Name"]


def create_another_stack(account: Account) -> None:
    """Create resources of the app `shop` in the same environment, and of the app `listings` in the environment `lab2`."""
    for app, environment in (("shop", "lab"), ("listings", "lab2")):
        _create_stack(account, app, environment)


def _create_stack(account: Account, app: str, environment: str) -> None:
    name = f"{app}-{environment}"
    pairs = {"ManagedBy": "outport", "Environment": environment, "Application": app, "Name": name, "Role": "web"}
    tags = [{"Key": key, "Value": value} for key, value in pairs.items()]
    ec2, rds, s3, iam = (account.client(service) for service in ("ec2", "rds", "s3", "iam"))

    def tagged(kind: str) -> dict[str, Any]:
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]}

    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16", **tagged("vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24", **tagged("subnet"))["Subnet"]["SubnetId"]
    ec2.create_security_group(GroupName=f"{name}-web", Description=name, VpcId=vpc, **tagged("security-group"))
    ec2.create_internet_gateway(**tagged("internet-gateway"))
    image = {"ImageId": "ami-00000000000000013", "MinCount": 1, "MaxCount": 1}
    ec2.run_instances(SubnetId=subnet, **image, **tagged("instance"))
    ec2.allocate_address(Domain="vpc", **tagged("elastic-ip"))
    ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        Engine="mysql",
        AllocatedStorage=20,
        MasterUsername="outport",
        MasterUserPassword="not-a-secret",
        Tags=tags,
    )
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-backup-1")
    iam.create_role(RoleName=f"{name}-web", AssumeRolePolicyDocument=ROLE)
    for kind in ("media", "backups"):
        bucket = f"{name}-{kind}-123456789012"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    account.client("ssm").put_parameter(Name=f"/outport/{environment}/{app}/database", Value="-", Type="String")
    account.client("logs").create_log_group(logGroupName=f"/outport/{environment}/{app}/nginx")
    kms = account.client("kms")
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
