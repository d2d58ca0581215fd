"""What nodes gave back, as the verification counts it: of nodes without stuck pods, in the subnets of the promise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ip_remediator.planning.options import PlanningOptions
from ip_remediator.remediation.verify import Verifier
from ip_remediator.snapshot.model_cluster import NetworkInterface, Node
from tests.unit.support.facts import Part, node, pods, snapshot, subnet
from tests.unit.support.plans import first_plan
from tests.unit.support.records import incident

HOST = node("a", pods=5)
CALM = tuple(node("a", number, enis=(6, 6), pods=2) for number in (5, 6))
FACTS = snapshot(Part((HOST, *CALM), pods(2, HOST.name), (subnet("a", free=0),)))


def holding(calm: Node, counts: tuple[int, ...]) -> list[NetworkInterface]:
    """The node's first ENIs, with so many addresses each."""
    pairs = zip(calm.interfaces, counts, strict=False)
    return [eni.model_copy(update={"addresses": count}) for eni, count in pairs]


def after(*remaining: tuple[int, ...]) -> Verifier:
    """Where the calm nodes' ENIs hold so many addresses by now."""
    enis = {
        str(calm_node.instance_id): holding(calm_node, counts)
        for calm_node, counts in zip(CALM, remaining, strict=True)
    }
    ec2: Any = SimpleNamespace(interfaces=lambda _: SimpleNamespace(by_instance=enis))
    nobody: Any = None
    plan = first_plan(FACTS, PlanningOptions(strategy="reclaim-warm", insists=True))
    return Verifier(incident(plan=plan), nobody, FACTS, nobody, ec2, list, lambda *_: ())


@pytest.mark.parametrize(
    ("remaining", "freed", "kept_back"),
    [
        (((6, 6), (6, 6)), 0, ["subnet-a"]),
        (((6, 6), (6,)), 6, ["subnet-a"]),
        (((3, 3), (3, 3)), 12, []),
        (((5,), ()), 19, []),
        (((7, 6), (6, 6)), 0, ["subnet-a"]),
    ],
    ids=["nothing yet", "an ENI left", "as promised", "a node is gone", "one took more"],
)
def test_given_what_the_nodes_hold_now_then_what_they_gave_back_is_held_against_the_promise(
    remaining: tuple[tuple[int, ...], ...], freed: int, kept_back: list[str]
) -> None:
    verifier = after(*remaining)
    assert verifier.plan.frees == {"subnet-a": 12}
    assert verifier._freed() == {"subnet-a": freed}
    assert verifier._kept_back({"subnet-a": freed}) == kept_back
