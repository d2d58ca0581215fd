"""The switch that stops every write at once: an SSM parameter for all clusters, a tag for one.

It is read again before each write, also between the steps of a running execution. While it is on, nothing is written,
not even an undo: changes stay in place, and the incident's message says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ip_remediator.approvals.policy import switched_on
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound
from ip_remediator.common.tag_names import KILL_SWITCH

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class KillSwitchOn(Exception):
    """Somebody stopped all writes; the message says where to switch it off."""


def parameter_on(ssm: SSMClient, parameter: str) -> bool:
    """Whether the SSM parameter stops all writes. One that does not exist is off; any value but "off" is on."""
    try:
        with aws_call(f"GetParameter {parameter}"):
            value = ssm.get_parameter(Name=parameter)["Parameter"].get("Value", "")
    except NotFound:
        return False
    return value.strip().lower() != "off"


def check(ssm: SSMClient, parameter: str, tags: Mapping[str, str]) -> None:
    """Raises unless writes are allowed. `tags`: the cluster's, just read.

    Raises:
        KillSwitchOn
        The errors of `common.errors`: if the switch can't be read, nothing is written.
    """
    if parameter_on(ssm, parameter):
        raise KillSwitchOn(f"the kill switch is on: set the SSM parameter {parameter}to off to continue")
    if switched_on(tags):
        raise KillSwitchOn(f"the kill switch of this cluster is on: set its tag {KILL_SWITCH}to off to continue")
