"""What passes to a later incident when the earlier one is rolled back first."""

from __future__ import annotations

from typing import Any

from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.rollback.successor import Succession, successions

OURS = frozenset({"subnet-1a", "subnet-1b"})
CIDR = ChangeMade(kind=ChangeKind.VPC_CIDR, target="100.64.0.0/20")
CRD = ChangeMade(kind=ChangeKind.CRD, target="eniconfigs")
CNI = ChangeMade(kind=ChangeKind.CNI, target="aws-node", before={"env": {"FLAG": None}})
SUBNET = ChangeMade(kind=ChangeKind.SUBNET, target="a")


def config(name: str, before: str | None) -> ChangeMade:
    pointed: dict[str, Any] | None = {"spec": {"subnet": before}, "labels": {}, "annotations": {}} if before else None
    return ChangeMade(kind=ChangeKind.ENICONFIG, target=name, before=pointed)


def passed(
    made: list[ChangeMade], later: dict[str, list[ChangeMade]], cidr_successor: str | None = None
) -> list[Succession]:
    recorded = [RecordedChange(**change.model_dump(), recorded_at="2026-01-01") for change in made]
    return successions("first", recorded, later, OURS, cidr_successor)


def test_given_a_second_incident_on_the_first_then_it_takes_over_all_but_the_subnets() -> None:
    made = [CIDR, SUBNET, CRD, config("a", None), CNI]
    [given] = passed(made, {"second": [SUBNET, config("a", "subnet-1a")]}, "second")
    assert given.successor == "second"
    assert given.with_cidr
    assert [change.kind for change in given.given] == ["vpc_cidr", "crd", "eniconfig", "cni"]
    received = {change.kind: change for change in given.received}
    # As if it had found the cluster the way the first one found it; the CRD bears the first one's label.
    assert received[ChangeKind.ENICONFIG].before is None
    assert received[ChangeKind.CNI].before == CNI.before
    assert received[ChangeKind.CRD].after == {"incident": "first"}


def test_given_an_eniconfig_that_was_there_before_then_the_second_gets_what_the_first_found() -> None:
    [given] = passed([config("a", "subnet-0")], {"second": [config("a", "subnet-1a")]})
    assert [change.before for change in given.received] == [config("a", "subnet-0").before]
    assert not given.with_cidr


def test_given_three_incidents_when_the_first_goes_then_the_second_inherits_and_not_the_third() -> None:
    later = {"second": [config("a", "subnet-1a")], "third": [config("a", "subnet-2a")]}
    [given] = passed([config("a", None), CNI], later)
    assert given.successor == "second"


def test_given_a_label_passed_on_before_then_the_crd_keeps_the_name_that_it_bears() -> None:
    inherited = CRD.model_copy(update={"after": {"incident": "zeroth"}})
    [given] = passed([inherited, config("a", None)], {"second": [config("a", "subnet-1a")]})
    assert {"incident": "zeroth"} in [change.after for change in given.received]


def test_given_incidents_that_do_not_stand_on_this_one_then_nothing_passes() -> None:
    assert not passed([CIDR, CRD, CNI, config("a", None)], {"other": [config("a", "subnet-9"), config("b", None)]})


def test_given_another_clusters_subnets_in_the_cidr_then_only_the_cidr_passes() -> None:
    [given] = passed([CIDR, CNI, config("a", None)], {"other": [config("b", None)]}, "other")
    assert given.given == given.received
    assert [change.target for change in given.received] == [CIDR.target]
