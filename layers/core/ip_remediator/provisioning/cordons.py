"""Cordons of nodes, recorded so that they can be taken back."""

from __future__ import annotations

from ip_remediator.clients.kubernetes.nodes import KubeNodes
from ip_remediator.incidents.record import ChangeKind, ChangeMade
from ip_remediator.provisioning.change_log import ChangeLog

_GONE = "the node is gone"


def cordon(nodes: KubeNodes, log: ChangeLog, name: str) -> bool:
    """Cordons a node. A node that people had cordoned before is not recorded, so it stays cordoned.

    False: the node is gone and needs no cordon.
    """
    cordoned = nodes.is_cordoned(name)
    if cordoned is not False:
        return cordoned is not None
    change = log.intend(ChangeMade(kind=ChangeKind.CORDON, target=name))
    if nodes.cordon(name):
        return True
    log.undone(change, _GONE)
    return False


def uncordon(nodes: KubeNodes, log: ChangeLog) -> list[str]:
    """Takes all recorded cordons back; the names of their nodes. One that is gone needs nothing."""
    cordoned = log.made(ChangeKind.CORDON)
    for change in cordoned:
        note = "" if nodes.uncordon(change.target) else _GONE
        log.undone(change, note)
    return [change.target for change in cordoned]
