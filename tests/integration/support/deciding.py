"""What tests of decisions do: set a cluster's tags, wait for the question, click the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ip_remediator.incidents.record import ApprovalState, Incident
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient
from tests.support.waiting import eventually


def own_world(cluster: Patient) -> dict[str, Any]:
    """Without the ledger: the block of the question that nobody answers is in it for a while."""
    return {name: value for name, value in cluster.world().items() if name != "ledger"}


@contextmanager
def tagged(lab: Lab, cluster: Patient, tags: Mapping[str, str]) -> Iterator[None]:
    eks = lab.aws("eks")
    arn = eks.describe_cluster(name=cluster.name)["cluster"]["arn"]
    eks.tag_resource(resourceArn=arn, tags=dict(tags))
    try:
        yield
    finally:
        for tag in tags:
            eks.untag_resource(resourceArn=arn, tagKeys=[tag])


def question(lab: Lab, execution: str, after: str = "") -> Incident:
    """The incident, once people are asked about it; `after` is the id of an earlier question."""

    def asked(incident: Incident) -> bool:
        approval = incident.approval
        return approval is not None and approval.state is ApprovalState.PENDING and approval.id != after

    incident = lab.incident_when_known(execution)
    return eventually("people are asked", lambda: lab.incidents.get(incident.id), asked)


def answer(lab: Lab, incident: Incident, action: str) -> None:
    """Clicks a button of the message that shows the incident's present question."""
    assert incident.approval is not None
    asked = incident.approval.id

    def shown() -> list[dict[str, Any]]:
        return [message for message in lab.messages(incident.id) if asked in str(message["blocks"])]

    [message] = eventually("the question is shown", shown)
    lab.click(message, action)


def reject(lab: Lab, execution: str) -> tuple[Ended, Incident]:
    answer(lab, question(lab, execution), "reject")
    ended = lab.end_of(execution)
    return ended, lab.incident_of(execution)
