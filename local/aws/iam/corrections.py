"""IAM: condition keys and checks that MiniStack leaves out, so that a policy which is wrong on AWS fails here."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from ministack.core import iam_actions, iam_evaluator
from ministack.services import eks

from local.aws.corrections.guard import original, replace, require
from local.aws.iam import dynamodb_keys as dynamodb
from local.aws.iam import ec2_resources as ec2
from local.aws.partitions import partition_of
from local.aws.step_functions.permissions import put_events_context

if TYPE_CHECKING:
    from local.aws.switches import Switches

EC2: Final = "ec2"
# A resource's ARN and its condition keys.
Check = tuple[str, dict[str, Any]]

EKS_PART_PATH = re.compile(r"/clusters/([^/]+)/(addons|node-groups|fargate-profiles)/([^/]+)")
EKS_PARTS = {"addons": "addon", "node-groups": "nodegroup", "fargate-profiles": "fargateprofile"}
# The last part of such an ARN is drawn at its creation, so policies write it as a wildcard.
UNKNOWN_PART_ID = "00000000-0000-0000-0000-000000000000"
# Targets of the EC2 call that is being authorised, and the condition keys of each.
_ec2_checks: ContextVar[Sequence[Check]] = ContextVar("ec2_checks", default=())
_ec2_tagged: ContextVar[Sequence[Check]] = ContextVar("ec2_tagged", default=())
# Condition keys of the items of a transaction that have not been asked for yet.
_items: ContextVar[Sequence[dict[str, Any]]] = ContextVar("items", default=())
# Role that a call on an add-on hands over; "" when it hands over none.
_passed_role: ContextVar[str] = ContextVar("passed_role", default="")
# The same, where that is what is refused.
_refused_role: ContextVar[str] = ContextVar("refused_role", default="")


def install(switches: Switches) -> None:
    """Give IAM the resources and condition keys that AWS gives it."""
    ec2_resources(switches)
    eks_parts(switches)
    passed_roles(switches)
    dynamodb_keys()
    metric_namespaces()
    event_sources()
    batches_of_messages()


def ec2_resources(switches: Switches) -> None:
    """Every required resource of an EC2 call is checked, with its own condition keys; MiniStack checks one.

    Tags in a creating call need ec2:CreateTags as well, under ec2:CreateAction (supported-iam-actions-tagging.html).
    """
    unpatched = original(iam_actions, "extract_resource_arn")
    enforce_one = original(iam_evaluator, "enforce")

    def extract(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        if service != EC2:
            arn: str = unpatched(service, method, path, headers, body, params, region, account)
            return arn
        described = [(one.arn(), ec2.context(one, params, switches)) for one in ec2.targets(params)]
        tagged = [(one.arn(), ec2.context(one, params, switches)) for one in ec2.creates_with_tags(params)]
        _ec2_checks.set(described or [("*", {})])
        _ec2_tagged.set(tagged)
        return _ec2_checks.get()[0][0]

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        if service != EC2:
            return enforce_one(access_key, action, service, region, **keywords)
        creating = {"ec2:CreateAction": action.partition(":")[2]}
        checks = [(action, arn, context) for arn, context in _ec2_checks.get()]
        checks += [("ec2:CreateTags", arn, {**context, **creating}) for arn, context in _ec2_tagged.get()]
        for wanted, arn, context in checks:
            denied = enforce_one(access_key, wanted, service, region, resource_arn=arn, service_context=context)
            if denied:
                return denied
        return None

    replace(iam_actions, "extract_resource_arn", extract)
    replace(iam_evaluator, "enforce", enforce)


def eks_parts(switches: Switches) -> None:
    """The resource of a call on an EKS add-on, node group or Fargate profile is that part, not its cluster.

    Source: list_amazonelastickubernetesservice.html of the Service Authorization Reference. An add-on that is absent
    has no id: ``addons_by_path`` makes its ARN that of the API's path, which some denials of AWS show.
    """
    unpatched = original(iam_actions, "extract_resource_arn")
    addons = original(eks, "_addons")

    def extract(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        part = EKS_PART_PATH.match(path) if service == "eks" else None
        if part:
            cluster, kind, name = part.groups()
            start = f"arn:{partition_of(region)}:eks:{region}:{account}"
            if kind == "addons" and switches.addons_by_path and f"{cluster}/{name}" not in addons:
                return f"{start}:/clusters/{cluster}/addons/{name}"
            return f"{start}:{EKS_PARTS[kind]}/{cluster}/{name}/{UNKNOWN_PART_ID}"
        arn: str = unpatched(service, method, path, headers, body, params, region, account)
        return arn

    replace(iam_actions, "extract_resource_arn", extract)


def passed_roles(switches: Switches) -> None:
    """UpdateAddon and CreateAddon with a role need iam:PassRole (API_UpdateAddon.html); MiniStack does not check it.

    AWS does not document whether iam:PassedToService is present, or its value: ``addon_passed_to_service`` sets it. The
    refusal names iam:PassRole and the role (appmod-blueprints #816 quotes one).
    """
    unpatched = original(iam_actions, "request_tag_context")
    enforce_one = original(iam_evaluator, "enforce")
    answer = original(iam_actions, "access_denied_response")

    def context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        handed = action in ("eks:UpdateAddon", "eks:CreateAddon") and body[:1] == b"{"
        _refused_role.set("")
        _passed_role.set(json.loads(body).get("serviceAccountRoleArn") or "" if handed else "")
        keys: dict[str, Any] = unpatched(service, action, body, params)
        return keys

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        denied = enforce_one(access_key, action, service, region, **keywords)
        role = _passed_role.get()
        if denied or service != "eks" or not role:
            return denied
        name = switches.addon_passed_to_service
        passed = {"iam:PassedToService": name} if name else {}
        refused = enforce_one(access_key, "iam:PassRole", "iam", region, resource_arn=role, service_context=passed)
        _refused_role.set(role if refused else "")
        return refused

    def refuse(service: str, action: str, principal_arn: str, request_id: str, **keywords: Any) -> Any:
        role = _refused_role.get()
        if role:
            keywords["message"] = iam_actions.identity_denial_message("iam:PassRole", principal_arn, role, False)
        return answer(service, action, principal_arn, request_id, **keywords)

    replace(iam_actions, "request_tag_context", context)
    replace(iam_evaluator, "enforce", enforce)
    replace(iam_actions, "access_denied_response", refuse)
    require(iam_actions, "identity_denial_message")


def dynamodb_keys() -> None:
    """Provide dynamodb:LeadingKeys and all dynamodb:Attributes; MiniStack reads projections only."""
    unpatched = original(iam_actions, "dynamodb_service_context")
    enforce_one = original(iam_evaluator, "enforce")

    def context(body: bytes) -> dict[str, Any]:
        _items.set(dynamodb.transaction_contexts(body))
        keys: dict[str, Any] = unpatched(body)
        keys.update(dynamodb.request_context(body))
        return keys

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        given = keywords.get("service_context") or {}
        if service == "dynamodb" and "dynamodb:EnclosingOperation" in given and _items.get():
            first, *others = _items.get()
            _items.set(others)
            keywords["service_context"] = {**given, **first}
        return enforce_one(access_key, action, service, region, **keywords)

    replace(iam_actions, "dynamodb_service_context", context)
    replace(iam_evaluator, "enforce", enforce)


def metric_namespaces() -> None:
    """cloudwatch:namespace of PutMetricData; without it MiniStack denies what such a condition allows."""
    unpatched = original(iam_actions, "request_tag_context")

    def context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        keys: dict[str, Any] = unpatched(service, action, body, params)
        if action == "cloudwatch:PutMetricData":
            keys["cloudwatch:namespace"] = _namespace(body, params)
        return keys

    replace(iam_actions, "request_tag_context", context)


def event_sources() -> None:
    """events:source and events:detail-type of PutEvents, which are arrays; MiniStack has neither."""
    unpatched = original(iam_actions, "request_tag_context")

    def context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        keys: dict[str, Any] = unpatched(service, action, body, params)
        if action == "events:PutEvents" and body[:1] == b"{":
            keys.update(put_events_context(json.loads(body).get("Entries")))
        return keys

    replace(iam_actions, "request_tag_context", context)


def _namespace(body: bytes, params: Any) -> str:
    if body[:1] == b"{":
        return str(json.loads(body).get("Namespace", ""))
    return ec2.first(params, "Namespace") or parse_qs(body.decode(errors="replace")).get("Namespace", [""])[0]


def batches_of_messages() -> None:
    """sqs:SendMessage covers SendMessageBatch, and so the other two; there are no actions of these names (API
    reference of SendMessageBatch, and list_amazonsqs.html). MiniStack asks for them."""
    unpatched = original(iam_evaluator, "enforce")

    def enforce(access_key: str, action: str, service: str, region: str, **keywords: Any) -> Any:
        if service == "sqs":
            action = action.removesuffix("Batch")
        return unpatched(access_key, action, service, region, **keywords)

    replace(iam_evaluator, "enforce", enforce)
