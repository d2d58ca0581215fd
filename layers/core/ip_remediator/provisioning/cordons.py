"""Cordons of nodes, recorded so that they can be taken back."""

from __future__ import annotations

from ip_remediator.clients.kubernetes.nodes import KubeNodes
from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.provisioning.change_log import ChangeLog

_GONE = "the node is gone"


def cordon(nodes: KubeNodes, log: ChangeLog, name: str) -> bool:
    """Cordons a node. A node that people had cordoned before is not recorded, so it stays cordoned.

    False: the node is gone and needs no cordon.
    """
    node = nodes.look(name)
    if node is None or node.cordoned:
        return node is not None
    ours = {"uid": node.uid}
    change = log.intend(ChangeMade(kind=ChangeKind.CORDON, target=name, after=ours))
    if change.after != ours:  # recorded for a node that is gone and had the same name
        log.amend(change.model_copy(update={"after": ours}))
    if nodes.cordon(name, node.uid):
        return True
    log.undone(change, _GONE)
    return False


def uncordon(nodes: KubeNodes, log: ChangeLog) -> list[str]:
    """Takes all recorded cordons back; the names of their nodes."""
    cordoned = log.made(ChangeKind.CORDON)
    for change in cordoned:
        take_back(nodes, log, change)
    return [change.target for change in cordoned]


def take_back(nodes: KubeNodes, log: ChangeLog, cordoned: RecordedChange) -> None:
    """Uncordons the node of a recorded cordon. One that is gone needs nothing; one that has its name now keeps what
    people set there. Records of former releases have no uid."""
    is_there = nodes.uncordon(cordoned.target, (cordoned.after or {}).get("uid"))
    log.undone(cordoned, "" if is_there else _GONE)
