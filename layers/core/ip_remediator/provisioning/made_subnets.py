"""Checks that the subnets of an incident still exist, before ENIConfigs or launchers get them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound, NotYet
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident
from ip_remediator.provisioning.change_log import ChangeLog

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# How long EC2 may not list a new subnet, and IAM not see its tags ("Eventual consistency in the Amazon EC2 API").
_SETTLING = timedelta(seconds=60)


def is_young(change: ChangeMade, now: datetime) -> bool:
    """Whether the change is so recent that EC2 may not show it yet."""
    at = (change.after or {}).get("at")
    return at is not None and now < datetime.fromisoformat(at) + _SETTLING


def require_subnets(ec2: EC2Client, incident: Incident, log: ChangeLog) -> None:
    """Nodes whose ENIConfig points at a subnet that is gone never get an address again.

    Raises:
        NotYet: EC2 does not list one that is only just made.
        NotFound: somebody deleted one.
    """
    ids = sorted(incident.subnets.values())
    if not ids:
        return
    filters: Any = [{"Name": "subnet-id", "Values": ids}]
    with aws_call("DescribeSubnets"):
        listed = {subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=filters)["Subnets"]}
    made = {change.target: change for change in log.made(ChangeKind.SUBNET)}
    for zone, subnet in incident.subnets.items():
        if subnet in listed:
            continue
        if zone in made and is_young(made[zone], log.clock()):
            raise NotYet(f"EC2 does not list {subnet} of {zone} yet")
        raise NotFound(f"subnet {subnet} of {zone} was deleted by somebody else in the meantime")
