"""Serves moto's Auto Scaling as a MiniStack service module. Its groups launch instances in moto's EC2.

What moto leaves out is added: the instance that is terminated gives its addresses back before its successor is
launched; a launch that finds no free address in one of the group's subnets is tried in the others, and again later,
while the call that asked for it succeeds; the subnets are of one VPC; and IAM sees which group a call is about.
"""

# ruff: noqa: SLF001 - a layer over moto works on its models, whose state is private

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    TerminateInstanceActivity,
    autoscaling_backends,
)
from moto.core.exceptions import ServiceException

from local.aws.corrections.guard import original, replace
from local.aws.ec2.gateway import MotoService

if TYPE_CHECKING:
    from collections.abc import Iterable

SERVICE: Final = "autoscaling"
TERMINATE, UPDATE = "TerminateInstanceInAutoScalingGroup", "UpdateAutoScalingGroup"
# Condition keys that say which fields a call sets (list_amazonec2autoscaling.html).
_FIELD_KEYS = {
    "MinSize": "autoscaling:minsize",
    "MaxSize": "autoscaling:maxsize",
    "LaunchConfigurationName": "autoscaling:launchconfigurationname",
    "VPCZoneIdentifier": "autoscaling:vpczoneidentifiers",
    "LaunchTemplate.Version": "autoscaling:launchtemplateversionspecified",
}


class MotoAutoScaling(MotoService):
    """The functions that MiniStack calls on a service module, answered by moto."""

    def __init__(self) -> None:
        super().__init__(SERVICE)

    def settle(self) -> None:
        """Launches the instances that groups lack."""
        for group in _backend().autoscaling_groups.values():
            _fill(group)

    def reset(self) -> None:
        """Forget every group (MiniStack's reset endpoint)."""
        autoscaling_backends.reset()


def install() -> None:
    """Make moto's groups replace as AWS's do. MissingPartError when a part of moto that this needs is gone."""
    original(AutoScalingBackend, "terminate_instance")
    replace(AutoScalingBackend, "terminate_instance", _terminate_instance)
    replace(FakeAutoScalingGroup, "replace_autoscaling_group_instances", _launcher())
    replace(FakeAutoScalingGroup, "set_desired_capacity", _patient())
    replace(FakeAutoScalingGroup, "_set_azs_and_vpcs", _zones_of_one_vpc())
    _group_arns()
    _group_tags()


def _backend() -> Any:
    return autoscaling_backends[get_account_id()][get_region()]


def _terminate_instance(backend: Any, instance_id: str, should_decrement: bool) -> TerminateInstanceActivity:
    states = (member for group in backend.autoscaling_groups.values() for member in group.instance_states)
    state = next((member for member in states if member.instance.id == instance_id), None)
    if state is None:
        raise AutoscalingClientError(
            "ValidationError", f"Instance Id not found - No managed instance found for {instance_id}"
        )
    group, before = state.instance.autoscaling_group, state.instance.autoscaling_group.desired_capacity
    group.instance_states = [member for member in group.instance_states if member is not state]
    backend.ec2_backend.terminate_instances([instance_id])
    if should_decrement:
        group.desired_capacity = before - 1
    _fill(group)
    return TerminateInstanceActivity(state.instance, before)


def _fill(group: Any) -> None:
    """Launch what is missing; without a free address or the like, the next request tries again."""
    if "Launch" in group._suspended_processes or len(group.instance_states) >= (group.desired_capacity or 0):
        return
    group.set_desired_capacity(group.desired_capacity)


def _launcher() -> Any:
    """One instance after the other, each in the first of the group's subnets that has room; moto knows only one."""
    launch = original(FakeAutoScalingGroup, "replace_autoscaling_group_instances")

    def launch_each(group: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        subnets = group.vpc_zone_identifier
        try:
            for _ in range(count_needed):
                _launch_one(group, (subnets or "").split(","), lambda: launch(group, 1, propagated_tags))
        finally:
            group.vpc_zone_identifier = subnets

    return launch_each


def _launch_one(group: Any, subnets: list[str], launch: Any) -> None:
    """Raises ServiceException: none of the subnets has room."""
    for subnet in subnets[:-1]:
        group.vpc_zone_identifier = subnet
        with contextlib.suppress(ServiceException):
            launch()
            return
    group.vpc_zone_identifier = subnets[-1]
    launch()


def _patient() -> Any:
    """The call has succeeded once the size is noted: what becomes of launches, activities tell."""
    original_call = original(FakeAutoScalingGroup, "set_desired_capacity")

    def set_desired_capacity(group: Any, new_capacity: int | None) -> None:
        with contextlib.suppress(ServiceException):
            original_call(group, new_capacity)

    return set_desired_capacity


def _zones_of_one_vpc() -> Any:
    """Each zone once; subnets of two VPCs are refused (API_UpdateAutoScalingGroup.html, VPCZoneIdentifier)."""
    original_call = original(FakeAutoScalingGroup, "_set_azs_and_vpcs")

    def set_zones(group: Any, availability_zones: Any, vpc_zone_identifier: Any, update: bool = False) -> None:
        ids = vpc_zone_identifier.split(",") if vpc_zone_identifier else []
        vpcs = {group.autoscaling_backend.ec2_backend.get_subnet(id_).vpc_id for id_ in ids}
        if len(vpcs) > 1:
            raise AutoscalingClientError("ValidationError", "The subnets are not all of the same VPC")
        original_call(group, availability_zones, vpc_zone_identifier, update)
        group.availability_zones = list(dict.fromkeys(group.availability_zones))

    return set_zones


def _group_arns() -> None:
    unpatched = original(iam_actions, "extract_resource_arn")

    def extract(
        service: str, method: str, path: str, headers: Any, body: bytes, params: Any, region: str, account: str
    ) -> str:
        group = _group_of(params) if service == SERVICE else None
        arn: str = group.arn if group else unpatched(service, method, path, headers, body, params, region, account)
        return arn

    replace(iam_actions, "extract_resource_arn", extract)


def _group_tags() -> None:
    """aws:ResourceTag and autoscaling:ResourceTag (list_amazonec2autoscaling.html)."""
    unpatched = original(iam_actions, "request_tag_context")

    def context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        keys: dict[str, Any] = unpatched(service, action, body, params)
        group = _group_of(params) if service == SERVICE else None
        for tag in group.tags if group else ():
            for prefix in ("aws:resourcetag", "autoscaling:resourcetag"):
                keys[f"{prefix}/{tag['Key'].lower()}"] = tag["Value"]
        if service == SERVICE:
            keys |= {key: value for name, key in _FIELD_KEYS.items() if (value := _first(params, name))}
        return keys

    replace(iam_actions, "request_tag_context", context)


def _group_of(params: Any) -> Any:
    """The group that a call of Auto Scaling acts on; None for Describe calls, which know no resources."""
    if _first(params, "Action") == UPDATE:
        return _backend().autoscaling_groups.get(_first(params, "AutoScalingGroupName"))
    if _first(params, "Action") != TERMINATE:
        return None
    groups: Iterable[Any] = _backend().autoscaling_groups.values()
    wanted = _first(params, "InstanceId")
    return next((one for one in groups if any(state.instance.id == wanted for state in one.instance_states)), None)


def _first(params: Any, name: str) -> str:
    value = params.get(name, "")
    return str((value[0] if value else "") if isinstance(value, list) else value)
