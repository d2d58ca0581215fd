"""Settings of the local AWS that a test may change while the server runs.

GET    /_local/settings                       all settings with their values
PUT    /_local/settings  {"name": value, …}   change some of them
DELETE /_local/settings                       back to the defaults
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


class BadSettingError(ValueError):
    """A setting is unknown or has an invalid value; the message names the setting and the remedy."""


@dataclass
class Switches:
    """The settings of one server, shared by everything that obeys them.

    ``execution_events``: history events after which an execution of Step Functions fails (25,000 on AWS).
    ``execution_timeout_seconds``: ends every execution after so many seconds, if its state machine does not end it
    earlier; 0 leaves it to the state machine's TimeoutSeconds.

    ``wait_factor``: how many times as long as ``--wait-scale`` says the waits of executions take that begin now.

    ``function_concurrency``: the account's quota of executions of functions at the same time (1,000; 10 of new ones).

    ``addon_update_seconds``: how long an update of an add-on is in progress (minutes on AWS).
    ``addon_shows_old_values``: DescribeAddon shows the old configuration during an update; which one AWS shows is not
    documented. ``addon_updates_fail``: updates started from now on end as Failed and change nothing.
    ``addon_status``: status of an add-on that is not being updated; "DEGRADED" comes with a health issue.
    ``addon_schema_lacks``: variables, comma-separated, that the schema of vpc-cni does not know.
    ``addon_refuses_empty_values``: "" is no configuration; `{}` clears it (no document says what "" does).
    ``addons_by_path``: an absent add-on's ARN is that of its path (…:/clusters/NAME/addons/NAME).
    ``addon_passed_to_service``: iam:PassedToService of an add-on's role; "" leaves the key out.

    ``cluster_update_seconds``: how long an update of a cluster's subnets is in progress (minutes on AWS).
    ``cluster_health_tells_addresses``: DescribeCluster's health names subnets with too few addresses.

    ``node_group_update_seconds``: how long an update of a node group is in progress.
    ``node_group_updates_fail_by``: the ErrorCode by which updates that begin now end as Failed and change nothing.
    ``degraded_node_groups``: names of groups that are DEGRADED, each with the code of its health issue, such as
    "spot=AsgInstanceLaunchFailures,web=Ec2SubnetNotFound".

    ``cloudtrail_delay_seconds``: when an event is in CloudTrail's history; "an average of about 5 minutes".
    ``cloudtrail_lookups_per_second``: of the account in a Region.

    ``ec2_network_address_units``: the quota of a VPC; ``ec2_peered_network_address_units``: of a VPC with its peers.
    ``ec2_reads_after_seconds``: Describe calls show new subnets, VPC CIDRs, network interfaces and tags only then.
    ``ec2_writes_after_seconds``: other calls on a new subnet, CIDR or network interface find it only then.
    ``ec2_policies_see_after_seconds``: aws:ResourceTag has a new tag only then.
    """

    execution_events: int = 25_000
    execution_timeout_seconds: float = 0.0
    wait_factor: float = 1.0
    function_concurrency: int = 1_000
    addon_update_seconds: float = 0.5
    addon_shows_old_values: bool = False
    addon_updates_fail: bool = False
    addon_status: str = "ACTIVE"
    addon_schema_lacks: str = ""
    addon_refuses_empty_values: bool = True
    addons_by_path: bool = False
    addon_passed_to_service: str = "eks.amazonaws.com"
    cluster_update_seconds: float = 0.5
    cluster_health_tells_addresses: bool = False
    node_group_update_seconds: float = 0.5
    node_group_updates_fail_by: str = ""
    degraded_node_groups: str = ""
    cloudtrail_delay_seconds: float = 300.0
    cloudtrail_lookups_per_second: int = 2
    ec2_network_address_units: int = 64_000
    ec2_peered_network_address_units: int = 128_000
    ec2_reads_after_seconds: float = 0.0
    ec2_writes_after_seconds: float = 0.0
    ec2_policies_see_after_seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self)

    def change(self, wanted: Any) -> None:
        """Change the settings in ``wanted``, all or none. BadSettingError for an unknown name or an invalid value."""
        if not isinstance(wanted, dict):
            raise BadSettingError('settings are a JSON object such as {"execution_events": 100}')
        defaults = {one.name: one.default for one in fields(self)}
        checked = {name: _checked(name, value, defaults) for name, value in wanted.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Give every setting its default."""
        for one in fields(self):
            setattr(self, one.name, one.default)


def _checked(name: str, value: Any, defaults: dict[str, Any]) -> Any:
    if name not in defaults:
        raise BadSettingError(f"{name} is not a setting; the settings are {', '.join(defaults)}")
    kind = type(defaults[name])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise BadSettingError(f"{name} must be a {kind.__name__}, such as its default {defaults[name]!r}")
    if not isinstance(value, str) and value < 0:
        raise BadSettingError(f"{name} must not be negative")
    return value
