"""IAM: condition keys and checks that MiniStack leaves out, so that a policy which is wrong on AWS fails here."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from moto.ec2.models import ec2_backends

from local.aws.corrections.guard import original, replace

TAG_KEY = re.compile(r"(TagSpecification\.\d+\.Tag\.\d+|Tag\.\d+)\.Key")
EKS_PART_PATH = re.compile(r"/clusters/([^/]+)/(addons|node-groups|fargate-profiles)/([^/]+)")
EKS_PARTS = {"addons": "addon", "node-groups": "nodegroup", "fargate-profiles": "fargateprofile"}
# The last part of such an ARN is drawn at its creation, so policies write it as a wildcard.
UNKNOWN_PART_ID = "00000000-0000-0000-0000-000000000000"
# Parameters that name the resource of an EC2 call, the most specific first.
EC2_RESOURCES = {
    "SubnetId": "subnet",
    "NetworkInterfaceId": "network-interface",
    "NetworkAclId": "network-acl",
    "RouteTableId": "route-table",
    "GroupId": "security-group",
    "InstanceId": "instance",
    "VpcId": "vpc",
    "IpamPoolId": "ipam-pool",
}
PREFIXES = {"vpc": "vpc", "subnet": "subnet", "eni": "network-interface", "rtb": "route-table", "acl": "network-acl"}


def install() -> None:
    """Restore what IAM sees of a request."""
    ec2_resources()
    eks_parts()
    tag_conditions()
    tags_need_create_tags()
    batches_of_messages()


def ec2_resources() -> None:
    """The resource of an EC2 call is what it acts on: DeleteSubnet's subnet, DisassociateVpcCidrBlock's VPC.

    Source: "Actions, resources, and condition keys for Amazon EC2" (list_amazonec2.html).
    """
    known = original(iam_actions, "extract_resource_arn")

    def extract(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        if service == "ec2":
            found = _ec2_resource(params)
            # Pools of IPAM are of no region (list_amazonec2.html).
            place = "" if found and found[0] == "ipam-pool" else region
            return f"arn:aws:ec2:{place}:{account}:{found[0]}/{found[1]}" if found else "*"
        arn: str = known(service, method, path, headers, body, params, region, account)
        return arn

    replace(iam_actions, "extract_resource_arn", extract)


def eks_parts() -> None:
    """The resource of a call on an EKS add-on, node group or Fargate profile is that part, not its cluster.

    Source: list_amazonelastickubernetesservice.html of the Service Authorization Reference.
    """
    known = original(iam_actions, "extract_resource_arn")

    def extract(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        part = EKS_PART_PATH.match(path) if service == "eks" else None
        if part:
            cluster, kind, name = part.groups()
            return f"arn:aws:eks:{region}:{account}:{EKS_PARTS[kind]}/{cluster}/{name}/{UNKNOWN_PART_ID}"
        arn: str = known(service, method, path, headers, body, params, region, account)
        return arn

    replace(iam_actions, "extract_resource_arn", extract)


def _first(params: Any, name: str) -> str:
    value = params.get(name, "")
    return str((value[0] if value else "") if isinstance(value, list) else value)


def _ec2_resource(params: Any) -> tuple[str, str] | None:
    """(resource type, id) of an EC2 call; a call that creates something names what it creates with "*"."""
    action = _first(params, "Action")
    if action.startswith("Describe"):
        return None
    if action == "CreateSubnet":
        return ("subnet", "*")
    if action == "CreateNetworkInterface":
        return ("network-interface", "*")
    tagged = _first(params, "ResourceId.1")
    if tagged:
        return (PREFIXES.get(tagged.partition("-")[0], "*"), tagged)
    association = _first(params, "AssociationId")
    if association.startswith("vpc-cidr-assoc-"):
        return ("vpc", _backend().vpc_of_association(association))
    for field, kind in EC2_RESOURCES.items():
        if _first(params, field):
            return (kind, _first(params, field))
    return None


def _backend() -> Any:
    return ec2_backends[get_account_id()][get_region()]


def tag_conditions() -> None:
    """aws:RequestTag and aws:TagKeys of EC2's TagSpecifications, aws:ResourceTag of its resources, and
    cloudwatch:namespace of PutMetricData; without them MiniStack denies what such a condition allows."""
    known = original(iam_actions, "request_tag_context")

    def context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        found: dict[str, Any] = known(service, action, body, params)
        if service == "ec2":
            found.update(_ec2_tags(params))
        if action == "cloudwatch:PutMetricData":
            found["cloudwatch:namespace"] = _namespace(body, params)
        return found

    replace(iam_actions, "request_tag_context", context)


def _ec2_tags(params: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    keys = []
    for name in params:
        match = TAG_KEY.fullmatch(name)
        if match:
            keys.append(_first(params, name))
            found[f"aws:requesttag/{keys[-1].lower()}"] = _first(params, f"{match[1]}.Value")
    if keys:
        found["aws:TagKeys"] = keys
    resource = _ec2_resource(params)
    if resource and resource[1] != "*":
        for tag in _backend().describe_tags(filters={"resource-id": [resource[1]]}):
            for prefix in ("aws:resourcetag", "ec2:resourcetag"):
                found[f"{prefix}/{tag['key'].lower()}"] = tag["value"]
    return found


def _namespace(body: bytes, params: Any) -> str:
    if body[:1] == b"{":
        return str(json.loads(body).get("Namespace", ""))
    return _first(params, "Namespace") or parse_qs(body.decode(errors="replace")).get("Namespace", [""])[0]


def tags_need_create_tags() -> None:
    """Tags in a creating call need ec2:CreateTags as well, under ec2:CreateAction (supported-iam-actions-tagging.html).

    MiniStack asks only for the creating action.
    """
    known = original(iam_evaluator, "enforce")

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        denied = known(access_key, action, service, region, **keywords)
        context = keywords.get("service_context") or {}
        verb = action.partition(":")[2]
        if denied or service != "ec2" or verb == "CreateTags" or not context.get("aws:TagKeys"):
            return denied
        keywords["service_context"] = {**context, "ec2:CreateAction": verb}
        return known(access_key, "ec2:CreateTags", service, region, **keywords)

    replace(iam_evaluator, "enforce", enforce)


def batches_of_messages() -> None:
    """sqs:SendMessage covers SendMessageBatch, and so the other two; there are no actions of these names (API
    reference of SendMessageBatch, and list_amazonsqs.html). MiniStack asks for them."""
    known = original(iam_evaluator, "enforce")

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        if service == "sqs":
            action = action.removesuffix("Batch")
        return known(access_key, action, service, region, **keywords)

    replace(iam_evaluator, "enforce", enforce)
