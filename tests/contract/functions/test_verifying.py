"""What counts as healed after each kind of plan, and how it compares with what was expected."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, Progress, Step, Verification
from ip_remediator.planning.model import Plan
from ip_remediator.remediation.verify import PodsStillPending, Verifier
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, NetworkInterface, Node, StuckPod
from ip_remediator.snapshot.model_node_group import NodeGroupState
from ip_remediator.snapshot.model_vpc import Subnet
from tests.unit.support.records import PLAN, incident

NEW = "subnet-new"
NODES = tuple(
    Node(name=name, zone="a", max_enis=3, interfaces=(NetworkInterface(id=f"eni-{name}", subnet_id="subnet-nodes"),))
    for name in ("n1", "n2")
)


@dataclass
class Cured:
    """The cluster and the VPC after the change: address by pod; the addresses of the plan's subnets; free by subnet."""

    pods: dict[str, str | None]
    in_subnets: Collection[str] = ()
    free: dict[str, int] = field(default_factory=lambda: {"subnet-nodes": 0, NEW: 200})
    noted: tuple[str, Verification] | None = None
    progress: list[Progress] = field(default_factory=list)
    hanging: list[StuckPod] = field(default_factory=list)
    homeless: list[str] = field(default_factory=list)
    groups: tuple[NodeGroupState, ...] = ()

    # --- of KubernetesReader
    def stuck_pods(self) -> list[StuckPod]:
        return self.hanging

    # --- of KubePods
    def await_not_pending(self, uids: set[str], seconds: float) -> set[str]:
        return {uid for uid in uids if self.pods.get(uid, "gone") is None}

    def present(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        uids = {path: path.partition("/")[2] for path in names}
        return {path: self._pod(uid) for path, uid in uids.items() if uid in self.pods}

    def _pod(self, uid: str) -> dict[str, Any]:
        address = self.pods[uid]
        status = {"phase": "Running", "podIP": address} if address else {"phase": "Pending"}
        return {"metadata": {"uid": uid}, "status": status}

    def without_node(self, namespaces: Collection[str], since: object) -> list[str]:
        return [path for path in self.homeless if path.partition("/")[0] in namespaces]

    # --- of NodeGroups
    def unwell(self, since: object, before: object) -> tuple[NodeGroupState, ...]:
        return self.groups

    # --- of Ec2Reader
    def addresses_of_subnets(self, ids: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(self.in_subnets, NEW) if NEW in set(ids) else {}

    def balances(self, vpc_id: str) -> list[Subnet]:
        return [Subnet(id=id_, zone="a", cidr="100.64.0.0/24", free=free) for id_, free in self.free.items()]

    # --- of Incidents
    def record_progress(self, incident_id: str, progress: Progress) -> None:
        self.progress.append(progress)

    def complete(self, incident_id: str, step: Step, note: str, verification: Verification) -> None:
        assert step is Step.VERIFY
        self.noted = note, verification


def plan(**changed: Any) -> Plan:
    return PLAN.model_copy(update=changed)


LEAKS = plan(strategy="delete-leaked-enis", source="none", block=None, subnets=(), heals_now=1, replace_nodes=("n2",))
DISCOVERY = plan(strategy="subnet-discovery", heals_now=2)


def verify(cured: Cured, of: Plan, *, final: bool = True, stuck: str = "p1 p2") -> str:
    pods = tuple(
        StuckPod(namespace="d", name=name, uid=name, node=f"n{number}") for number, name in enumerate(stuck.split(), 1)
    )
    snapshot = Snapshot(cluster=Cluster(name="prod"), nodes=NODES, stuck_pods=pods)
    record: Incident = incident(plan=of, subnets={} if of is LEAKS else {"a": NEW})
    verifier = Verifier(record, cured, snapshot, cured, cured, cured.stuck_pods, cured.unwell)  # type: ignore[arg-type]
    return str(verifier.verify(final=final, seconds=0)["outcome"])


def note_of(cured: Cured) -> str:
    assert cured.noted is not None
    return cured.noted[0]


def test_given_discovery_when_addresses_lie_in_the_plans_subnets_then_it_is_healed_whatever_their_range() -> None:
    cured = Cured({"p1": "10.0.9.4", "p2": "100.64.0.7"}, in_subnets=("10.0.9.4", "100.64.0.7"))
    assert verify(cured, DISCOVERY) == Outcome.HEALED
    assert note_of(cured) == "2 of 2 pods run with new addresses"


def test_given_discovery_when_an_address_lies_elsewhere_then_that_pod_counts_as_stuck_and_it_is_told() -> None:
    cured = Cured({"p1": "10.0.0.9", "p2": "100.64.0.7"}, in_subnets=("100.64.0.7",))
    assert verify(cured, DISCOVERY) == Outcome.PARTLY
    assert note_of(cured).endswith("expected 2 healed now, 1 are: d/p1 still wait")


def test_given_thousands_of_pods_when_verified_then_the_answer_is_numbers_and_stays_far_below_256_kib() -> None:
    """The limit of what a state may return; the pods' names are in the record."""
    names = " ".join(f"a-pod-with-a-rather-long-name-{number:05}" for number in range(6_000))
    cured = Cured(dict.fromkeys(names.split(), "100.64.0.7"), in_subnets=("100.64.0.7",))
    pods = tuple(StuckPod(namespace="d", name=name, uid=name, node="n1") for name in names.split())
    snapshot = Snapshot(cluster=Cluster(name="prod"), nodes=NODES, stuck_pods=pods)
    record = incident(plan=DISCOVERY, subnets={"a": NEW})
    answer = Verifier(record, cured, snapshot, cured, cured, cured.stuck_pods, cured.unwell).verify(final=True)  # type: ignore[arg-type]
    assert answer == {"outcome": "healed", "healed": 6_000, "still_stuck": 0}


@pytest.mark.parametrize(
    ("cured", "unseen"),
    [
        (Cured({"p1": "100.64.0.7", "p2": "100.64.0.8"}, in_subnets=("100.64.0.8",)), "100.64.0.7"),
        (Cured({"p1": "100.64.0.7"}, in_subnets=("100.64.0.7",), free={"subnet-nodes": 0}), NEW),
    ],
    ids=["an ENI", "a subnet"],
)
def test_given_what_is_new_when_ec2_does_not_show_it_yet_then_it_is_waited_for(cured: Cured, unseen: str) -> None:
    with pytest.raises(PodsStillPending, match=f"does not show yet: {unseen}"):
        verify(cured, DISCOVERY, final=False)
    assert verify(cured, DISCOVERY, final=True) in (Outcome.PARTLY, Outcome.HEALED)


def test_given_leaked_enis_when_pods_run_with_any_address_then_it_is_healed_as_far_as_expected() -> None:
    cured = Cured({"p1": "10.0.0.9", "p2": None})
    assert verify(cured, LEAKS, final=False) == Outcome.PARTLY
    assert note_of(cured) == "1 of 2 pods run with an address"
    assert cured.noted is not None
    assert (cured.noted[1].expected, cured.noted[1].nodes_to_replace) == (1, ("n2",))


def test_given_a_node_that_the_plan_wants_replaced_when_verified_then_its_pods_are_not_waited_for_and_it_is_named() -> (
    None
):
    # A slot for an ENI is free, but an ipamd that never passes over an ENI with room does not use it.
    cured = Cured({"p1": "100.64.0.7", "p2": None}, in_subnets=("100.64.0.7",))
    assert verify(cured, plan(heals_now=1, replace_nodes=("n2",)), final=False) == Outcome.PARTLY
    assert cured.noted is not None
    assert cured.noted[1].nodes_to_replace == ("n2",)


def test_given_a_pod_that_was_expected_to_heal_when_it_waits_then_it_is_waited_for() -> None:
    with pytest.raises(PodsStillPending, match="1 of 1 pods"):
        verify(Cured({"p1": None, "p2": None}), LEAKS, final=False)


def test_given_pods_that_are_gone_when_compared_then_no_more_are_expected_than_there_are() -> None:
    cured = Cured({"p1": "100.64.0.7"}, in_subnets=("100.64.0.7",))
    assert verify(cured, DISCOVERY) == Outcome.HEALED
    assert cured.noted is not None
    assert (cured.noted[1].expected, cured.noted[1].gone, cured.noted[1].shortfall) == (1, ("d/p2",), 0)


def test_given_a_deleted_pod_when_its_successor_hangs_then_it_is_waited_for_and_nothing_is_called_healed() -> None:
    cured = Cured({"p1": "100.64.0.7", "p3": None}, in_subnets=("100.64.0.7",))
    cured.hanging = [
        StuckPod(namespace="d", name="p3", uid="p3", node="n1"),
        StuckPod(namespace="elsewhere", name="p4", uid="p4", node="n1"),
    ]
    with pytest.raises(PodsStillPending, match=r"in place of pods that are gone: d/p3$"):
        verify(cured, DISCOVERY, final=False)
    assert verify(cured, DISCOVERY) == Outcome.PARTLY
    assert cured.noted is not None
    assert (cured.noted[1].gone, cured.noted[1].still_stuck) == (("d/p2",), ("d/p3",))


def test_given_every_pod_deleted_when_their_successors_hang_then_it_has_failed() -> None:
    cured = Cured({"p3": None}, hanging=[StuckPod(namespace="d", name="p3", uid="p3", node="n2")])
    assert verify(cured, plan(replace_nodes=("n2",)), final=False) == Outcome.FAILED
    assert cured.noted is not None
    assert cured.noted[1].nodes_to_replace == ("n2",)


@pytest.mark.parametrize(
    ("free", "outcome"),
    [({NEW: 200}, Outcome.HEALED), ({NEW: 0}, Outcome.FAILED), ({"subnet-nodes": 3}, Outcome.FAILED)],
)
def test_given_no_pod_was_stuck_then_the_plans_subnets_must_be_there_and_have_room(
    free: dict[str, int], outcome: Outcome
) -> None:
    cured = Cured({}, free=free)
    assert verify(cured, DISCOVERY, stuck="") == outcome
    assert note_of(cured) == f"no pod was stuck; {free.get(NEW, 0)} free addresses in the plan's subnets"


def test_given_pods_that_went_with_their_nodes_when_verified_then_it_is_no_cure_until_nodes_come() -> None:
    cured = Cured({}, homeless=["d/p3", "d/p4", "other/p5"])
    with pytest.raises(PodsStillPending, match=r"no node yet, in place of pods that are gone: d/p3, d/p4$"):
        verify(cured, DISCOVERY, final=False)
    assert verify(cured, DISCOVERY, final=True) == Outcome.FAILED
    assert cured.noted is not None
    assert (cured.noted[1].still_stuck, cured.noted[1].without_node) == (("d/p3", "d/p4"), ("d/p3", "d/p4"))
    assert note_of(cured) == (
        "0 of 2 pods run with new addresses; no node for d/p3, d/p4, in place of pods that are gone"
    )
    cured.homeless.clear()  # nodes came, and run what took their place
    assert verify(cured, DISCOVERY, final=False) == Outcome.HEALED


def test_given_one_of_two_nodes_went_when_verified_then_what_its_pods_lack_is_named() -> None:
    cured = Cured({"p1": "100.64.0.7"}, in_subnets=("100.64.0.7",), homeless=["d/p3"])
    assert verify(cured, DISCOVERY, final=True) == Outcome.PARTLY
    assert cured.noted is not None
    assert [pod.name for pod in cured.noted[1].healed] == ["p1"]
    assert cured.noted[1].without_node == ("d/p3",)


DEGRADED = NodeGroupState(name="spot", status="DEGRADED", issues=("AsgInstanceLaunchFailures",))


def test_given_a_node_group_that_is_not_well_when_pods_still_wait_then_it_is_named_with_its_issue() -> None:
    cured = Cured({"p1": "100.64.0.7", "p2": None}, in_subnets=("100.64.0.7",), groups=(DEGRADED,))
    assert verify(cured, DISCOVERY) == Outcome.PARTLY
    assert note_of(cured).endswith("; node group spot is DEGRADED (AsgInstanceLaunchFailures)")
    assert cured.noted is not None
    assert cured.noted[1].node_groups == (DEGRADED,)


def test_given_a_node_group_that_is_not_well_when_all_is_healed_then_nobody_asks_for_it() -> None:
    addresses = ("100.64.0.7", "100.64.0.8")
    cured = Cured(dict(zip(("p1", "p2"), addresses, strict=True)), in_subnets=addresses, groups=(DEGRADED,))
    assert verify(cured, DISCOVERY) == Outcome.HEALED
    assert cured.noted is not None
    assert cured.noted[1].node_groups == ()
