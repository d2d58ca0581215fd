"""Which of the attached ENIs ipamd manages: pure functions of what EC2 says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local.cluster.ipamd.pool import Eni
from local.cluster.ipamd.settings import CniSettings

NODE_TAG = "node.k8s.amazonaws.com/instance_id"
NO_MANAGE_TAG = "node.k8s.amazonaws.com/no_manage"
EFA_ONLY, EFA, TRUNK = "efa-only", "efa", "trunk"
# "When ENABLE_MULTI_NIC is false, all Network Cards > 0 are marked as unmanaged" (ipamd.go:296). The mode with several
# cards, which serves pods that ask for several interfaces, is not simulated.
MANAGED_CARD = 0


@dataclass(frozen=True)
class AttachedEni:
    """An attached ENI: `kind` is EC2's InterfaceType, `card` the network card. IMDS knows neither kind nor tags."""

    eni: Eni
    kind: str = ""
    card: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)


def managed(attached: Sequence[AttachedEni], settings: CniSettings, instance_id: str) -> tuple[list[AttachedEni], int]:
    """ipamd.go:2116, filterUnmanagedENIs: (managed ENIs, number of the others on the managed network card)."""
    kept: list[AttachedEni] = []
    others = 0
    for one in attached:
        left_alone = _is_unmanaged(one, settings, instance_id) or one.kind == EFA_ONLY
        if one.card == MANAGED_CARD and not left_alone:
            kept.append(one)
        elif one.card == MANAGED_CARD:
            others += 1
    return kept, others


def _is_unmanaged(one: AttachedEni, settings: CniSettings, instance_id: str) -> bool:
    """ipamd.go:260, setUnmanagedENIs: by the tags; the primary ENI is always managed."""
    if one.eni.primary or settings.imds_only:
        return False
    if NO_MANAGE_TAG in one.tags:
        return one.tags[NO_MANAGE_TAG] == "true"
    if one.tags.get(NODE_TAG) == instance_id:
        return False
    return not settings.manage_untagged_enis
