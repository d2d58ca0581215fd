"""What counts as healed after nodes were replaced: pods of other names, on nodes that may bear the old names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import HealedPod, Verification
from ip_remediator.incidents.replacement_record import (
    NodeReplacement,
    NodeState,
    Replacement,
    ReplacementState,
    WaitingPod,
    ZoneReplacement,
)
from ip_remediator.node_replacement.verify import VerifierAfterReplacement
from ip_remediator.remediation.verify import PodsStillPending
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, NetworkInterface, Node
from tests.contract.functions.test_verifying import NEW, Cured
from tests.unit.support.records import PLAN, incident

BEGAN = datetime(2026, 3, 1, 10, 0, 0, 500_000, tzinfo=UTC)
FULL = tuple(
    Node(name=name, zone="a", max_enis=1, interfaces=(NetworkInterface(id=f"eni-{name}", subnet_id="subnet-nodes"),))
    for name in ("n1", "n2")
)
BEFORE = Verification(
    healed=(HealedPod(namespace="d", name="h", node="n9", zone="a", address="100.64.0.1", subnet=NEW),),
    still_stuck=("d/p1", "d/p2"),
    nodes_to_replace=("n1", "n2"),
)
WAITING = tuple(WaitingPod(namespace="d", name=name, uid=name, controller="rs") for name in ("p1", "p2"))


@dataclass
class Moved(Cured):
    """The controller's pods now, beside those of `Cured`: (name, node, address)."""

    now: list[tuple[str, str, str | None]] = field(default_factory=list)

    def pods_of(self, namespace: str, controller: str) -> list[dict[str, Any]]:
        assert (namespace, controller) == ("d", "rs")
        return [
            {
                "metadata": {"namespace": "d", "name": name, "uid": name, "creationTimestamp": made(name)},
                "spec": {"nodeName": node},
                "status": {"phase": "Running", "podIP": address} if address else {"phase": "Pending"},
            }
            for name, node, address in self.now
        ]

    def __post_init__(self) -> None:
        self.pods = {**{name: address for name, _, address in self.now}, **self.pods}


def made(name: str) -> str:
    """Those called old were there before the first node was touched."""
    when = BEGAN - timedelta(hours=1) if name.startswith("old") else BEGAN
    return when.replace(microsecond=0).isoformat()


def verify(
    moved: Moved,
    *replaced: str,
    final: bool = False,
    before: Verification = BEFORE,
    waiting: tuple[WaitingPod, ...] = WAITING,
) -> tuple[str, Verification]:
    """Outcome and verification, once the nodes `replaced` gave way to others."""
    nodes = tuple(
        NodeReplacement(name=name, instance=name, host="auto_scaling", owner="g", state=NodeState.REPLACED)
        for name in replaced
    )
    record = incident(
        plan=PLAN,
        subnets={"a": NEW},
        verification=before,
        replacement=Replacement(state=ReplacementState.RUNNING, requested_by="x", since=BEGAN, waiting=waiting),
        replacements={"a": ZoneReplacement(nodes=nodes)},
    )
    snapshot = Snapshot(cluster=Cluster(name="prod"), nodes=FULL)
    steps = VerifierAfterReplacement(record, moved, snapshot, moved, moved, list, lambda *_: (), moved)  # type: ignore[arg-type]
    outcome = steps.verify(final=final, seconds=0)["outcome"]
    assert moved.noted is not None
    return str(outcome), moved.noted[1]


def test_successors_heal_it_in_the_order_of_their_addresses() -> None:
    now = [("old", "n9", "10.0.0.3"), ("s1", "n1", "10.0.0.9"), ("s2", "n2", "100.64.0.7"), ("s3", "n2", "100.64.0.8")]
    outcome, result = verify(Moved({}, ("100.64.0.7", "100.64.0.8"), now=now), "n1", "n2")
    assert outcome == Outcome.HEALED
    assert [(pod.name, pod.subnet) for pod in result.healed] == [("h", NEW), ("s2", NEW), ("s3", NEW)]
    assert (result.still_stuck, result.nodes_to_replace, result.gone) == ((), (), ())


def test_any_address_will_do() -> None:
    outcome, result = verify(Moved({}, now=[("s1", "n1", "10.0.0.9"), ("s2", "n1", "10.0.0.8")]), "n1", "n2")
    assert outcome == Outcome.HEALED
    assert [(pod.name, pod.address, pod.subnet, pod.zone) for pod in result.healed[1:]] == [
        ("s1", "10.0.0.9", None, "a"),
        ("s2", "10.0.0.8", None, "a"),
    ]


def test_a_successor_on_a_fresh_node_is_waited_for() -> None:
    moved = Moved({}, now=[("s1", "n1", None), ("s2", "n1", "10.0.0.8")])
    with pytest.raises(PodsStillPending, match="1 of the pods"):
        verify(moved, "n1", "n2")
    outcome, result = verify(moved, "n1", "n2", final=True)
    assert (outcome, result.still_stuck, result.nodes_to_replace) == (Outcome.PARTLY, ("d/s1",), ())


def test_one_on_a_node_that_is_still_full_is_not_and_the_node_is_named() -> None:
    before = BEFORE.model_copy(update={"nodes_to_replace": ("n1",)})
    moved = Moved({}, now=[("s1", "n2", None), ("s2", "n1", "10.0.0.8")])
    outcome, result = verify(moved, "n1", before=before)
    assert (outcome, result.still_stuck, result.nodes_to_replace) == (Outcome.PARTLY, ("d/s1",), ("n2",))


def test_a_pod_that_waits_on_and_has_no_controller_is_not_forgotten() -> None:
    outcome, result = verify(Moved({"p1": None}), "n1", final=True, waiting=())
    assert (outcome, result.still_stuck) == (Outcome.PARTLY, ("d/p1",))


def test_pods_of_a_controller_that_wants_fewer_now_are_gone() -> None:
    outcome, result = verify(Moved({}, now=[("s1", "n1", "100.64.0.7")]), "n1", "n2")
    assert (outcome, result.gone) == (Outcome.HEALED, ("d/p2",))


def test_what_ran_on_a_node_that_is_gone_runs_no_more() -> None:
    before = BEFORE.model_copy(update={"healed": (BEFORE.healed[0].model_copy(update={"node": "n1"}),)})
    moved = Moved({}, now=[("s1", "n1", "100.64.0.7"), ("s2", "n1", "100.64.0.8")])
    _, result = verify(moved, "n1", "n2", before=before)
    assert [pod.name for pod in result.healed] == ["s1", "s2"]
