"""What a request to the AWS API needs: the permissions of its operation, with the ARNs of its resources and the condition keys.

The resource types of an action, their ARNs and the actions that it implies are those of AWS's service authorization reference,
as parliament has them: https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import files
from typing import Any
from urllib.parse import unquote

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

from lab.iam.policies import Permission

# Of the signature, where it is not the name of the service.
_SERVICES = {"monitoring": "cloudwatch"}
_GLOBAL_SERVICES = ("iam", "route53")
_GLOBAL_REGION = "us-east-1"

# Operations that have another name as an action.
_ACTIONS = {
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:DeleteBucketCors": "s3:PutBucketCORS",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:PutBucketAccelerateConfiguration": "s3:PutAccelerateConfiguration",
    "s3:PutBucketCors": "s3:PutBucketCORS",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
# Of an object's version, instead of the current one.
_OF_A_VERSION = {"s3:GetObject": "s3:GetObjectVersion", "s3:DeleteObject": "s3:DeleteObjectVersion"}

# Parameters that have what an ARN calls by another name.
_PARAMETERS = {
    "BucketName": ("Bucket",),
    "ObjectName": ("Key",),
    "DbInstanceName": ("DBInstanceIdentifier",),
    "SubnetGroupName": ("DBSubnetGroupName",),
    "ParameterGroupName": ("DBParameterGroupName",),
    "SnapshotName": ("DBSnapshotIdentifier",),
    "ParameterNameWithoutLeadingSlash": ("Name", "Names", "ResourceId"),
    "KeyId": ("KeyId", "TargetKeyId"),
    "Alias": ("AliasName",),
    "RoleNameWithPath": ("RoleName",),
    "PolicyNameWithPath": ("PolicyName",),
    "InstanceProfileNameWithPath": ("InstanceProfileName",),
    "UserNameWithPath": ("UserName",),
    "LogGroupName": ("logGroupName",),
    "LogStreamName": ("logStreamName",),
    "Id": ("Id", "HostedZoneId", "ResourceId"),
    "KeyPairName": ("KeyName",),
}
# Of EC2's ids, which have different parameters in each operation.
_EC2_IDS = {
    "image": "ami-",
    "instance": "i-",
    "volume": "vol-",
    "network-interface": "eni-",
    "subnet": "subnet-",
    "vpc": "vpc-",
    "security-group": "sg-",
    "security-group-rule": "sgr-",
    "route-table": "rtb-",
    "internet-gateway": "igw-",
    "elastic-ip": "eipalloc-",
}
# Prefixes of parameters that the ARN does not have.
_PREFIXES = {
    "Id": "/hostedzone/",
    "Alias": "alias/",
    "ParameterNameWithoutLeadingSlash": "/",
}

# What an operation needs for the tags that it is given; of EC2 and RDS by service.
_TAGGING = {
    "ec2": "ec2:CreateTags",
    "rds": "rds:AddTagsToResource",
    "iam:CreateRole": "iam:TagRole",
    "iam:CreatePolicy": "iam:TagPolicy",
    "iam:CreateInstanceProfile": "iam:TagInstanceProfile",
    "dynamodb:CreateTable": "dynamodb:TagResource",
    "kms:CreateKey": "kms:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
}


@dataclass(frozen=True)
class Call:
    """A call of the API: `parameters` as botocore's model of the operation has them, `source` the caller's address."""

    service: str
    region: str
    account: str
    protocol: str
    operation: OperationModel
    parameters: Mapping[str, Any]
    source: str

    @property
    def action(self) -> str:
        """The operation's action, such as s3:GetObject."""
        own = f"{self.service}:{self.operation.name}"
        action = _ACTIONS.get(own, own)
        return _OF_A_VERSION.get(action, action) if self.parameters.get("VersionId") else action

    @property
    def context(self) -> dict[str, str | list[str]]:
        """The condition keys of the request."""
        found: dict[str, str | list[str]] = {
            "aws:requestedregion": self.region,
            "aws:sourceip": self.source,
            # The lab's endpoint represents that of AWS, which uses TLS.
            "aws:securetransport": "true",
        }
        tags = dict(_tags(self.parameters))
        if tags:
            found["aws:tagkeys"] = list(tags)
        found |= {f"aws:requesttag/{name.lower()}": value for name, value in tags.items()}
        context = self.parameters.get("EncryptionContext") or {}
        found |= {f"kms:encryptioncontext:{name.lower()}": value for name, value in context.items()}
        for key, parameter in (
            ("cloudwatch:namespace", "Namespace"),
            ("s3:prefix", "Prefix"),
            ("iam:policyarn", "PolicyArn"),
        ):
            if self.parameters.get(parameter):
                found[key] = self.parameters[parameter]
        changes = (self.parameters.get("ChangeBatch") or {}).get("Changes") or []
        if changes:
            names = [change["ResourceRecordSet"]["Name"].rstrip(".").lower() for change in changes]
            found["route53:changeresourcerecordsetsnormalizedrecordnames"] = names
        return found


def read(request: Request, service: str, region: str, account: str) -> Call:
    """Read a request that is signed for a service. Raises NotFound (werkzeug) for an operation that the service does not have."""
    service = _SERVICES.get(service, service)
    operation, path_parameters = get_service_router(service).match(request)
    model = get_service_model(service)
    # An object's content is not read: it can be large.
    body = b"" if operation.name in ("PutObject", "UploadPart") else request.get_data()
    protocol = determine_request_protocol(model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](operation)
    parameters = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": path_parameters,
        }
    )
    where = _GLOBAL_REGION if service in _GLOBAL_SERVICES else region
    return Call(service, where, account, protocol, operation, parameters, request.remote_addr or "")


def permissions(call: Call) -> Iterator[Permission]:
    """Yield what a call needs, without what depends on the account's other resources."""
    context = call.context
    own = [Permission(call.action, arn, context) for arn in _arns(call)]
    yield from own
    if "CopySource" in call.parameters:
        source = f"arn:aws:s3:::{unquote(call.parameters['CopySource']).split('?')[0].lstrip('/')}"
        yield Permission("s3:GetObject", source, context)
    tagging = _TAGGING.get(call.action) or _TAGGING.get(call.service)
    if tagging and tagging != call.action and "aws:tagkeys" in context:
        context |= {"ec2:createaction": call.operation.name}
        created = own[:1] if call.service != "ec2" else [one for one in own if one.resource.endswith("/*")]
        yield from (replace(one, action=tagging, context=context) for one in created)


def _arns(call: Call) -> list[str]:
    """Return the ARNs of a call's resources: with a wildcard where it names none, `*` where the reference has none for the action."""
    found = []
    # One of several types, such as Parameter or hostedzone.
    chosen = str(call.parameters.get("ResourceType", "")).lower()
    for kind, required in _reference().kinds.get(call.action, []):
        if chosen and kind != chosen:
            continue
        template = _reference().arns[call.service, kind]
        found += list(_named(call, kind, template)) or ([_fill(template, call, "*")] if required else [])
    return found or ["*"]


def _named(call: Call, kind: str, template: str) -> Iterator[str]:
    variables = [
        name for name in re.findall(r"\$\{(\w+)\}", template) if name not in ("Partition", "Region", "Account")
    ]
    strings = list(_strings(call.parameters))
    known = re.compile(re.sub(r"\\\$\\\{\w+\\\}", "[^:]*" if kind != "object" else ".*", re.escape(template)))
    yield from (value for _, value in strings if known.fullmatch(value))
    if call.service == "ec2" and kind in _EC2_IDS:
        values = [value for _, value in strings if value.startswith(_EC2_IDS[kind])]
        yield from (_fill(template, call, value) for value in dict.fromkeys(values))
        return
    given = [list(_values(strings, variable)) for variable in variables]
    if all(given):
        *outer, last = given
        yield from (_fill(template, call, *(values[0] for values in outer), value) for value in last)


def _values(strings: list[tuple[str, str]], variable: str) -> Iterator[str]:
    """Yield the values of a variable of an ARN."""
    wanted = _PARAMETERS.get(variable, (variable,))
    yield from (
        value.removeprefix(_PREFIXES.get(variable, ""))
        for name, value in strings
        if name in wanted and not value.startswith("arn:")
    )


def _fill(template: str, call: Call, *values: str) -> str:
    constants = {"Partition": "aws", "Region": call.region, "Account": call.account}
    names = iter(values)
    return re.sub(r"\$\{(\w+)\}", lambda match: constants.get(match[1]) or next(names, "*"), template)


def _strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of the parameters with the name of its parameter; not those of tags."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key not in ("Tags", "TagSpecifications", "TagSet"):
                yield from _strings(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, name)


def _tags(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the tags of a request, in the forms of the services."""
    lists = [parameters.get("Tags"), *(one.get("Tags") for one in parameters.get("TagSpecifications") or [])]
    for tags in lists:
        for tag in tags or []:
            lower = {name.lower(): value for name, value in tag.items()}
            yield lower.get("key") or lower["tagkey"], lower.get("value") or lower.get("tagvalue") or ""


@dataclass(frozen=True)
class _Reference:
    """Of the service authorization reference: the resource types of each action and whether it requires them, and the ARN of each type."""

    kinds: Mapping[str, list[tuple[str, bool]]]
    arns: Mapping[tuple[str, str], str]


@cache
def _reference() -> _Reference:
    """Read the reference, without an import of parliament, which takes a second."""
    (path,) = (one for one in files("parliament") or [] if one.name == "iam_definition.json")
    kinds: dict[str, list[tuple[str, bool]]] = {}
    arns: dict[tuple[str, str], str] = {}
    for service in json.loads(path.read_text()):
        prefix = service["prefix"]
        for privilege in service["privileges"]:
            stated = [one["resource_type"] for one in privilege["resource_types"] if one["resource_type"]]
            kinds[f"{prefix}:{privilege['privilege']}"] = [(kind.rstrip("*"), kind.endswith("*")) for kind in stated]
        arns |= {(prefix, one["resource"]): one["arn"] for one in service["resources"]}
    return _Reference(kinds, arns)
