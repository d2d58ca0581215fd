"""Shortens the diagnosis of a large cluster to what one record can hold beside its plan, and counts the rest."""

from __future__ import annotations

from ip_remediator.common.text import counted
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.snapshot.model import Snapshot

# A record is one item of at most 400 KB, with the plan, the verification and the signals in it.
_NODES = 300
_FACTS = 100


def truncate(diagnosis: Diagnosis, snapshot: Snapshot) -> Diagnosis:
    """`diagnosis` as it is stored, nodes with stuck pods before the others; that of a small cluster as it is."""
    nodes = diagnosis.nodes
    evidence = diagnosis.evidence
    if len(evidence) > _FACTS:
        evidence = (*evidence[:_FACTS], f"and {counted(len(evidence) - _FACTS, 'more fact')}")
    if len(nodes) > _NODES:
        hosts = {pod.node for pod in snapshot.stuck_pods}
        nodes = tuple(sorted(nodes, key=lambda node: node.name not in hosts))
        rest, nodes = nodes[_NODES:], nodes[:_NODES]
        relieved = sum(node.relieved_now for node in rest)
        evidence += (f"{counted(len(rest), 'more node')}, of which {relieved:,} would be relieved at once",)
    return diagnosis.model_copy(update={"nodes": nodes, "evidence": evidence})
