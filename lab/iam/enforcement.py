"""The policies of each caller, and the answer to a call that they do not allow.

Evaluated are the identity's policies and those of buckets. A KMS key has the default policy, which leaves it to IAM.
Signatures are not verified.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.core.request import Request
from moto.core.serialize import get_serializer_class
from moto.iam.models import Policy as ManagedPolicy
from moto.kms.utils import _deserialize_ciphertext_blob

from lab.iam import requests
from lab.iam.policies import Permission, Policy, allowed, denied
from lab.iam.requests import Call

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_ALWAYS_ALLOWED = ("sts:GetCallerIdentity",)
# What differs from AccessDenied and 403.
_ERROR_CODES = {"ec2": "UnauthorizedOperation", "json": "AccessDeniedException"}


@dataclass(frozen=True)
class Principal:
    """Who calls: a user or a session of a role."""

    arn: str
    policies: list[Policy]


class Refusal(ServiceException):
    """An error of IAM, which no service has in its model."""


class Enforcement:
    """WSGI application that passes to `application`, moto, the calls that the caller's policies allow.

    `root` is the access key of the account's root user, who may do everything.
    """

    def __init__(self, application: Any, account: str, root: str) -> None:
        self._application = application
        self._account = account
        self._root = root

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request."""
        refusal = None if environ["PATH_INFO"].startswith("/moto-api") else self._refusal(environ)
        if refusal is None:
            return self._application(environ, start_response)
        status, headers, body = refusal
        start_response(
            f"{status} {'Forbidden' if status == 403 else 'Bad Request'}",
            [*headers.items(), ("Content-Length", str(len(body)))],
        )
        return [body]

    def _refusal(self, environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes] | None:
        signed = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) or _CREDENTIAL.search(_presigned(environ))
        if signed and signed[1] == self._root:
            return None
        if not signed:
            return (
                403,
                {"Content-Type": "text/plain"},
                b"MissingAuthenticationToken: Request is missing authentication token",
            )
        key, region, service = signed.groups()
        call = requests.read(_copy(environ, service), service, region, self._account)
        principal = _principal(self._account, key)
        if principal is None:
            return _error(call, "InvalidClientTokenId", "The security token included in the request is invalid.")
        for permission in _needed(call):
            if not _permitted(permission, principal, self._account):
                return _error(
                    call,
                    "",
                    f"User: {principal.arn} is not authorized to perform: {permission.action} on resource: {permission.resource} "
                    f"because no identity-based policy allows the {permission.action} action",
                )
        return None


def _presigned(environ: dict[str, Any]) -> str:
    return environ.get("QUERY_STRING", "").replace("X-Amz-Credential=", "Credential=").replace("%2F", "/")


def _copy(environ: dict[str, Any], service: str) -> Request:
    """Return the request, and leave its body to be read again; that of an object, which can be large, is not read."""
    body = b""
    if service != "s3" or environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
    return Request({**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})


def _principal(account: str, key: str) -> Principal | None:
    """Return the owner of an access key."""
    for partition, iam in get_backend("iam")[account].items():
        for user in iam.users.values():
            if any(one.access_key_id == key for one in user.access_keys):
                return Principal(user.arn, _documents([*user.managed_policies.values(), *user.policies.values()]))
        session = get_backend("sts")[account][partition].get_assumed_role_from_access_key(key)
        if session:
            role = iam.get_role_by_arn(session.role_arn)
            arn = (
                session.role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
                + f"/{session.session_name}"
            )
            return Principal(arn, _documents([*role.managed_policies.values(), *role.policies.values()]))
    return None


def _documents(policies: Iterable[Any]) -> list[Policy]:
    texts = [
        next(version.document for version in policy.versions if version.is_default)
        if isinstance(policy, ManagedPolicy)
        else policy
        for policy in policies
    ]
    return [json.loads(text) if isinstance(text, str) else text for text in texts]


def _permitted(permission: Permission, principal: Principal, account: str) -> bool:
    if permission.action in _ALWAYS_ALLOWED:
        return True
    bucket = permission.resource.removeprefix("arn:aws:s3:::").split("/")[0]
    buckets = get_backend("s3")[account]["aws"].buckets
    policy = buckets[bucket].policy if permission.action.startswith("s3:") and bucket in buckets else None
    if policy and denied(permission, [json.loads(policy)], [principal.arn]):
        return False
    return allowed(permission, principal.policies)


def _needed(call: Call) -> Iterator[Permission]:
    """Yield the permissions of a call, with the tags of its resources, and what the service does for the caller."""
    if call.service == "kms":
        call = _with_key(call)
    elif call.action == "ec2:DisassociateRouteTable":
        call = _with_route_table(call)
    for permission in requests.permissions(call):
        tags = _resource_tags(call, permission.resource)
        yield replace(permission, context={**permission.context, **tags})
    yield from _passed_roles(call)
    yield from _database_needs(call)


def _with_key(call: Call) -> Call:
    """Return a call with the key's id where it has an alias, or a ciphertext that knows its key."""
    parameters = dict(call.parameters)
    key = parameters.get("KeyId", "")
    # Both the alias and its key are resources of its deletion.
    if call.action == "kms:DeleteAlias":
        key = parameters["AliasName"]
    if "CiphertextBlob" in parameters and not key:
        blob = parameters["CiphertextBlob"]
        blob = base64.b64decode(blob) if isinstance(blob, str) else blob
        key = _deserialize_ciphertext_blob(blob).key_id
    if "alias/" in key:
        key = (
            get_backend("kms")[call.account][call.region].get_key_id_from_alias(f"alias/{key.partition('alias/')[2]}")
            or key
        )
    return replace(call, parameters=parameters | {"KeyId": key} if key else parameters)


def _with_route_table(call: Call) -> Call:
    """Return a call with the route table of its association."""
    association = call.parameters["AssociationId"]
    for table in get_backend("ec2")[call.account][call.region].route_tables.values():
        if association in table.all_associations_ids:
            return replace(call, parameters={**call.parameters, "RouteTableId": table.id})
    return call


def _resource_tags(call: Call, arn: str) -> dict[str, str]:
    """Return the condition keys of a resource's tags; of EC2 and KMS."""
    name = arn.rpartition("/")[2]
    if call.service == "ec2":
        tags = dict(get_backend("ec2")[call.account][call.region].tags.get(name, {}))
    elif call.service == "kms":
        tags = get_backend("kms")[call.account][call.region].tagger.get_tag_dict_for_resource(name)
    else:
        return {}
    return {
        f"{prefix}:resourcetag/{key.lower()}": value for key, value in tags.items() for prefix in ("aws", call.service)
    }


def _passed_roles(call: Call) -> Iterator[Permission]:
    """Yield iam:PassRole for the role that a call gives to hosts."""
    context = {**call.context, "iam:passedtoservice": "ec2.amazonaws.com"}
    iam = get_backend("iam")[call.account]["aws"]
    if call.action == "iam:AddRoleToInstanceProfile":
        name = call.parameters["RoleName"]
        yield Permission("iam:PassRole", f"arn:aws:iam::{call.account}:role/{name}", context)
    elif call.action in (
        "ec2:RunInstances",
        "ec2:AssociateIamInstanceProfile",
        "ec2:ReplaceIamInstanceProfileAssociation",
    ):
        given = call.parameters.get("IamInstanceProfile") or {}
        for profile in iam.instance_profiles.values():
            if profile.arn == given.get("Arn") or profile.name == given.get("Name"):
                yield from (Permission("iam:PassRole", role.arn, context) for role in profile.roles)


def _database_needs(call: Call) -> Iterator[Permission]:
    """Yield what RDS does for the caller: it uses the key, has a default option group, and a role of its own, which the first database creates."""
    if call.action not in (
        "rds:CreateDBInstance",
        "rds:RestoreDBInstanceFromDBSnapshot",
        "rds:RestoreDBInstanceToPointInTime",
    ):
        return
    key = call.parameters.get("KmsKeyId")
    if key:
        arn = get_backend("kms")[call.account][call.region].keys[key.rpartition("/")[2]].arn
        through = f"rds.{call.region}.amazonaws.com"
        context = {**call.context, "kms:viaservice": through, "kms:grantisforawsresource": "true"}
        yield Permission("kms:CreateGrant", arn, context)
        yield Permission("kms:DescribeKey", arn, context)
    if not call.parameters.get("OptionGroupName"):
        arn = f"arn:aws:rds:{call.region}:{call.account}:og:default:mysql-8-4"
        yield Permission(call.action, arn, call.context)
    if not any(backend.databases for backend in get_backend("rds")[call.account].values()):
        role = f"arn:aws:iam::{call.account}:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS"
        yield Permission(
            "iam:CreateServiceLinkedRole", role, {**call.context, "iam:awsservicename": "rds.amazonaws.com"}
        )


def _error(call: Call, code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body in the protocol of the service."""
    code = code or _ERROR_CODES.get(call.protocol, "AccessDenied")
    serializer: Callable[..., Any] = get_serializer_class(call.service, call.protocol)
    response = serializer(operation_model=call.operation).serialize(Refusal(code, message))
    body = response["body"]
    headers = {name: str(value) for name, value in response["headers"].items() if name.lower() != "content-length"}
    return 400 if call.protocol == "json" else 403, headers, body.encode() if isinstance(body, str) else body
