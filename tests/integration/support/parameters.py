"""Every parameter of the template with values other than its default, in as few deployments as that takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import zip_longest
from typing import Any

import yaml

from tests.unit.docs.documents import ROOT

# Where the template names no AllowedValues. {names} are made by the test, which fills them in.
OTHER_VALUES: dict[str, tuple[str, ...]] = {
    "MaxPerVpcPerDay": ("0", "100"),
    "ChangeWindow": ("Mon-Fri 08:00-18:00 Europe/Berlin", "Sat 00:00-24:00"),
    "KillSwitchParameter": ("/platform/stop-everything",),
    "ApprovalMinutes": ("1", "1200"),
    "Pools": ("100.64.0.0/12, 100.96.0.0/11",),
    "IpamPoolId": ("ipam-pool-0123456789abcdef0",),
    "ExcludedCidrs": ("100.100.0.0/16, 10.8.0.0/16",),
    "BlockPrefix": ("needed", "18"),
    "SubnetPrefix": ("20", "28"),
    "SlackChannel": ("C0PLATFORM",),
    "SlackMention": ("here", "S0ONCALL"),
    "DocsUrl": ("https://git.example.com/eks-ip-remediator/blob/main/docs/",),
    "SlackSecretParameter": ("/platform/slack",),
    "SlackAllowedUsers": ("U0ADA, S0ONCALL",),
    "SlackAllowedChannels": ("C0PLATFORM,C0INCIDENTS",),
    "SlackApiUrl": ("http://127.0.0.1:9/api/",),  # where nobody listens
    "SlackReservedConcurrency": ("5", "100"),
    "ClusterNames": ("prod-*", "shop"),
    "ClusterSubnetsOf": ("prod-*",),
    "AddonRoleNames": ("*vpc-cni*",),
    "WeakSignalsNeeded": ("1", "20"),
    "SignalWindowMinutes": ("1", "1440"),
    "CoolDownMinutes": ("0", "1440"),
    "KubernetesEventBus": ("{bus}",),
    "SignalsTopicArn": ("{topic}",),
    "LogGroupClusters": ("/eks/shop=shop,/eks/prod-*=prod",),
    "OutcomeEventBus": ("{bus}",),
    "AlertEmail": ("platform@example.com",),
    "ForecastHours": ("1", "336"),
    "KubernetesSubnetIds": ("{subnet}",),
    "KubernetesSecurityGroupIds": ("{group}",),
    "HealthTopicArn": ("{topic}",),
    "Runtime": ("python3.11", "python3.12", "python3.13"),
    "PermissionsBoundaryArn": ("{boundary}",),
}


@cache
def parameters() -> dict[str, dict[str, Any]]:
    """The template's parameters by name."""

    class Template(yaml.SafeLoader):
        """Ignores CloudFormation's short tags."""

    Template.add_multi_constructor("!", lambda *_: None)
    document = yaml.load((ROOT / "template.yaml").read_text(), Template)
    declared: dict[str, dict[str, Any]] = document["Parameters"]
    return declared


def other_values() -> dict[str, list[str]]:
    """Values of each parameter that are not its default: all that it allows, or those above."""
    values = {}
    for name, parameter in parameters().items():
        allowed = [str(value) for value in parameter.get("AllowedValues", OTHER_VALUES.get(name, ()))]
        values[name] = [value for value in allowed if value != str(parameter.get("Default"))]
    return values


def defaults() -> dict[str, str]:
    """The defaults, but of what the local stack needs otherwise. Without them `sam deploy` keeps the former values."""
    return {
        name: str(parameter["Default"])
        for name, parameter in parameters().items()
        if name not in ("Runtime", "SlackApiUrl", "SweepMinutes")
    }


def deployments() -> list[Mapping[str, str]]:
    """Sets of parameters that have every other value once; a parameter whose values are used up has its default."""
    columns = [[(name, value) for value in values] for name, values in other_values().items()]
    return [dict(pair for pair in row if pair) for row in zip_longest(*columns)]
