"""Event -> Signal: what each event shape says about a cluster, and which cause its words prove.

The kubelet's event string proves only that the CNI's ADD failed, not that a subnet is full; the causes are therefore
kept apart here, and the diagnosis decides on facts.
"""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """What the words of an event prove. `NO_ADDRESS` is the CNI's general string: the cause behind it is unproven."""

    NO_ADDRESS = "no_address"
    SUBNET_FULL = "subnet_full"
    PREFIX_FRAGMENTED = "prefix_fragmented"
    NODE_LIMIT = "node_limit"
    ENI_QUOTA = "eni_quota"
    CNI_IAM = "cni_iam"
    CNI_THROTTLED = "cni_throttled"
    CNI_DOWN = "cni_down"
    ENICONFIG_MISSING = "eniconfig_missing"
    SUBNET_TAGS = "subnet_tags"
    OTHER = "other"
