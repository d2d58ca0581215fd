"""One frozen settings object per function, read from the environment once, with a named error for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


class SettingMissing(Exception):
    """An environment variable that the function needs is not set."""


@dataclass(frozen=True)
class _Settings:
    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The fields from the variables of the same name in capitals.

        Raises:
            SettingMissing: names the variable; the template sets all of them.
        """
        missing = [field.name.upper() for field in fields(cls) if not environment.get(field.name.upper())]
        if missing:
            raise SettingMissing(f"{', '.join(missing)} not set: see Environment of the function in template.yaml")
        return cls(**{field.name: environment[field.name.upper()] for field in fields(cls)})


@dataclass(frozen=True)
class IncidentSettings(_Settings):
    """What every function needs that works on incidents: the table's name and the region."""

    incidents_table: str
    aws_region: str


@dataclass(frozen=True)
class IngestSettings(IncidentSettings):
    """`weak_signals_needed`, within `signal_window_minutes`, open an incident; `cool_down_minutes` after one closed.
    `log_group_clusters`: "GROUP=CLUSTER, PREFIX*=CLUSTER", or "none"."""

    state_machine_arn: str
    default_mode: str
    signals_queue_url: str
    dead_letter_queue_url: str
    weak_signals_needed: str
    signal_window_minutes: str
    cool_down_minutes: str
    log_group_clusters: str


@dataclass(frozen=True)
class SweepSettings(IncidentSettings):
    """`sweep_role_arn`: the function's own role, whose access entries say which clusters are onboarded.
    `forecast_hours`: a subnet that is full within them is reported. `sweep_metrics`: "subnets" or "clusters"."""

    signals_queue_url: str
    sweep_role_arn: str
    forecast_hours: str
    sweep_metrics: str


@dataclass(frozen=True)
class LifecycleSettings(IncidentSettings):
    """`approval_minutes`: how long a question stays open."""

    ledger_table: str
    default_mode: str
    approval_minutes: str


@dataclass(frozen=True)
class DiagnoseSettings(IncidentSettings):
    """What holds where a cluster's tags say nothing else; `change_window` is "always" for none. `forecast_hours`: how
    near a full subnet must be to count as a shortage."""

    default_mode: str
    auto_max_risk: str
    change_window: str
    kill_switch: str
    forecast_hours: str


@dataclass(frozen=True)
class PlanSettings(IncidentSettings):
    """`pools` and `excluded_cidrs` are comma-separated CIDRs ("none" for no exclusion). `max_per_vpc_per_day`: plans
    that go ahead without asking. `ipam_pool_id`: the VPC IPAM pool that new CIDRs come from, or "none". `block_prefix`
    and `subnet_prefix`: prefix lengths, or "auto"; for the block also "needed". `auto_reclaim_warm`: "true" where the
    strategy auto may lower warm targets. `cluster_subnets_of`: pattern of the clusters whose own subnets may be
    replaced, or "none"."""

    ledger_table: str
    strategy: str
    pools: str
    ipam_pool_id: str
    excluded_cidrs: str
    block_prefix: str
    subnet_prefix: str
    auto_reclaim_warm: str
    cluster_subnets_of: str
    approval_minutes: str
    max_per_vpc_per_day: str


@dataclass(frozen=True)
class ClusterSettings(IncidentSettings):
    """`kill_switch`: name of the SSM parameter that stops all writes."""

    kill_switch: str


@dataclass(frozen=True)
class NetworkSettings(ClusterSettings):
    """`stack_name`: the value of the tag on the subnets of this stack."""

    stack_name: str


@dataclass(frozen=True)
class AnnounceSettings(IncidentSettings):
    """`event_bus`: name of the bus that gets an event for each entry of a timeline."""

    event_bus: str


@dataclass(frozen=True)
class NotifySettings(IncidentSettings):
    """`slack_mention`: whom a reply that needs people mentions unless the cluster's tag names others: the id of a user
    or a user group, "here", or "none". `slack_endpoint`: what clicks reach, or "none". `docs_url`: where the
    documentation is to be read, or "none"."""

    slack_secret: str
    slack_api_url: str
    slack_channel: str
    slack_mention: str
    slack_endpoint: str
    docs_url: str
    cool_down_minutes: str
    fallback_topic: str


@dataclass(frozen=True)
class SlackSettings(IncidentSettings):
    """`allowed_users`: who may decide, as ids of users and user groups separated by commas, or "any".
    `allowed_channels`: where, as ids of channels separated by commas, or "any". `docs_url`: where the documentation is
    to be read, or "none"."""

    slack_secret: str
    slack_api_url: str
    allowed_users: str
    allowed_channels: str
    remediation_state_machine_arn: str
    rollback_state_machine_arn: str
    replacement_state_machine_arn: str
    docs_url: str


@dataclass(frozen=True)
class WatchdogSettings(IncidentSettings):
    """`cluster_function`: name of the function that gives nodes and warm targets back. `name_callers`: "true" where
    CloudTrail is asked who else changed something; `own_role_arns`: comma-separated, of those whose calls are ours."""

    ledger_table: str
    state_machine_arn: str
    cluster_function: str
    name_callers: str
    own_role_arns: str
