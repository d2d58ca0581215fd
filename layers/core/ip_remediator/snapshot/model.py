"""The facts about a cluster and its VPC, as one plain JSON document.

`diagnose` and `plan` are functions of a `Snapshot`. So an operator can capture one, plan offline, and attach it to a
bug report. A fact that was not read (or was left out of a hand-written document) is None or empty, and is never
guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import model_validator

from ip_remediator.common.document import Count, Document, Moment
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model_cluster import (
    CLUSTER_DISCOVERY_TAG,
    CUSTOM_NETWORK_CFG,
    DEFAULT_ENI_CONFIG,
    DEFAULT_ENI_CONFIG_KEY,
    DISCOVERY_TAG,
    ENABLE_PREFIX_DELEGATION,
    ENABLE_SUBNET_DISCOVERY,
    ENI_CONFIG_ANNOTATION_DEF,
    ENI_CONFIG_LABEL_DEF,
    EXTERNAL_ENI_CONFIG_LABEL,
    MAX_ENI,
    PREFIX_SIZE,
    WARM_IP_TARGET,
    ZONE_LABEL,
    AutoScalingGroup,
    Cluster,
    Cni,
    CniOwner,
    EniConfig,
    FargateProfile,
    NetworkInterface,
    Node,
    NodeClass,
    NodeGroup,
    Provisioner,
    StuckPod,
    SubnetTerm,
    Webhook,
)
from ip_remediator.snapshot.model_vpc import (
    AclEntry,
    Endpoint,
    NatGateway,
    NetworkAcl,
    Peering,
    Route,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    TransitGateway,
    Vpc,
    VpcCidr,
)
from ip_remediator.snapshot.other_names import renamed

__all__ = [
    "CLUSTER_DISCOVERY_TAG",
    "CUSTOM_NETWORK_CFG",
    "DEFAULT_ENI_CONFIG",
    "DEFAULT_ENI_CONFIG_KEY",
    "DISCOVERY_TAG",
    "ENABLE_PREFIX_DELEGATION",
    "ENABLE_SUBNET_DISCOVERY",
    "ENI_CONFIG_ANNOTATION_DEF",
    "ENI_CONFIG_LABEL_DEF",
    "EXTERNAL_ENI_CONFIG_LABEL",
    "MAX_ENI",
    "PREFIX_SIZE",
    "WARM_IP_TARGET",
    "ZONE_LABEL",
    "AclEntry",
    "AutoScalingGroup",
    "Cluster",
    "Cni",
    "CniOwner",
    "Endpoint",
    "EniConfig",
    "FargateProfile",
    "LeakedInterface",
    "NatGateway",
    "NetworkAcl",
    "NetworkInterface",
    "Node",
    "NodeClass",
    "NodeGroup",
    "Peering",
    "Provisioner",
    "Quotas",
    "Route",
    "SecurityGroup",
    "SecurityGroupRule",
    "Snapshot",
    "StuckPod",
    "Subnet",
    "SubnetTerm",
    "TransitGateway",
    "Vpc",
    "VpcCidr",
    "Webhook",
]


# Of `unread` in a document written by hand: the VPC's route tables, not those of a transit gateway.
_OF_ROUTE_TABLES = re.compile(r"\broutes?\b(?!.*transit gateway)|DescribeRouteTables", re.IGNORECASE)


class Quotas(Document):
    """AWS quotas that bound a plan; `applied`: they were read from Service Quotas, else they are AWS's defaults.

    The quota "Network interfaces per Region" holds for each Availability Zone. Routes that a gateway propagates have a
    quota of their own, 100, and do not count against `routes_per_table` ("Amazon VPC quotas" of the VPC User Guide).
    """

    applied: bool = False
    cidrs_per_vpc: Count = 5
    subnets_per_vpc: Count = 200
    routes_per_table: Count = 500
    network_address_units: Count = 64_000
    peered_network_address_units: Count = 128_000
    interfaces_per_zone: Count = 5_000

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, document: Any) -> Any:
        return renamed(document, {"interfaces_per_zone": ("interfaces_per_region",)})


class Snapshot(Document):
    """All facts of one moment. `account_id` is the account that was asked, to tell a VPC shared by another.

    `unread` names what the reader was refused or could not reach, in words for people.
    """

    schema_version: Literal[1] = 1
    taken_at: Moment | None = None
    account_id: str | None = None
    cluster: Cluster
    cni: Cni = Cni()
    eni_configs: tuple[EniConfig, ...] = ()
    nodes: tuple[Node, ...] = ()
    stuck_pods: tuple[StuckPod, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    vpc: Vpc | None = None
    leaked_interfaces: tuple[LeakedInterface, ...] = ()
    quotas: Quotas = Quotas()
    unread: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _were_routes_read(cls, document: Any) -> Any:
        """Says for a document without `routes_read` whether the route tables were read: something of them is here, and
        no line of `unread` names them."""
        if not isinstance(document, dict) or not isinstance(vpc := document.get("vpc"), dict):
            return document
        if vpc.get("routes_read") is not None:
            return document
        lines, subnets = document.get("unread") or (), document.get("subnets") or ()
        present = "routes" in vpc or any(isinstance(subnet, dict) and subnet.get("route_table") for subnet in subnets)
        refused = any(isinstance(line, str) and _OF_ROUTE_TABLES.search(line) for line in lines)
        return {**document, "vpc": {**vpc, "routes_read": present and not refused}}

    def subnet(self, subnet_id: str | None) -> Subnet | None:
        """The subnet with that id; None if the snapshot has none."""
        return self._subnets_by_id.get(subnet_id)

    def node(self, name: str | None) -> Node | None:
        """The node of that name; None if the snapshot has none."""
        return self._nodes_by_name.get(name)

    def nodes_in(self, zone: str) -> tuple[Node, ...]:
        """The nodes of the zone."""
        return tuple(self._nodes_by_zone.get(zone, ()))

    def eni_config(self, name: str) -> EniConfig | None:
        """The ENIConfig of that name; None if the snapshot has none."""
        return self._eni_configs_by_name.get(name)

    def tagged_for_discovery(self, zone: str | None) -> tuple[Subnet, ...]:
        """The zone's subnets with the tag kubernetes.io/role/cni, whatever its value."""
        return tuple(self._tagged_by_zone.get(zone, ()))

    @property
    def routes_known(self) -> bool:
        """Whether the VPC's route tables were read: tables with local routes only have no `Route` at all."""
        return bool(self.vpc and self.vpc.routes_read)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy without the indexes of the original."""
        copied = super().model_copy(update=update, deep=deep)
        for name in _INDEXES:
            copied.__dict__.pop(name, None)
        return copied

    # A large cluster has 5,000 nodes, and each of them asks for its subnets. Of equal names the first one counts.

    @cached_property
    def _subnets_by_id(self) -> dict[str | None, Subnet]:
        return {subnet.id: subnet for subnet in reversed(self.subnets)}

    @cached_property
    def _nodes_by_name(self) -> dict[str | None, Node]:
        return {node.name: node for node in reversed(self.nodes)}

    @cached_property
    def _nodes_by_zone(self) -> dict[str | None, list[Node]]:
        by_zone: dict[str | None, list[Node]] = {}
        for node in self.nodes:
            by_zone.setdefault(node.zone, []).append(node)
        return by_zone

    @cached_property
    def _eni_configs_by_name(self) -> dict[str, EniConfig]:
        return {config.name: config for config in reversed(self.eni_configs)}

    @cached_property
    def _tagged_by_zone(self) -> dict[str | None, list[Subnet]]:
        by_zone: dict[str | None, list[Subnet]] = {}
        for subnet in self.subnets:
            if DISCOVERY_TAG in subnet.tags:
                by_zone.setdefault(subnet.zone, []).append(subnet)
        return by_zone


_INDEXES = tuple(name for name, value in vars(Snapshot).items() if isinstance(value, cached_property))
