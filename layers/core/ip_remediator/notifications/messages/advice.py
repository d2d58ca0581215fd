"""What an operator can do next: for each way in which an incident can end without a cure."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.diagnosis.alternatives import ALTERNATIVES
from ip_remediator.diagnosis.diagnose import Diagnosis
from ip_remediator.incidents.record import Incident, Step, StepState
from ip_remediator.notifications.messages.state import (
    NO_PLAN,
    replacement_offered,
    replacement_under_way,
    rollback_offered,
)
from ip_remediator.notifications.messages.text import names

# By the class names of `common.errors`: the state machine records the name, which is the error's contract.
_FOR_ERROR = {
    "PermissionDenied": "grant the permission that the message names (see docs/security.md), then start again",
    "QuotaReached": "ask AWS for a higher quota, then start again",
    "PoolExhausted": "add a range to the Pools parameter, or roll back incidents that are no longer needed",
    "ClusterNotFound": "check the cluster's name and region in the event or in the request",
    "Throttled": "AWS kept throttling the calls: start again later",
    "KillSwitchOn": "nothing is written while the kill switch is on, not even an undo: turn it off, then start again",
    "ServiceUnavailable": "the other side did not answer: check that the function reaches it, then start again",
}
_OTHER_ERROR = "read the message above; the execution's history has every call's answer"
_FOR_VERDICT = {
    Verdict.NODE_LIMIT: (
        "use larger instance types or more nodes, or turn on prefix delegation",
        "lower max-pods to what the instance type's ENIs can serve",
    ),
    Verdict.ENI_QUOTA: ("ask for more network interfaces per region (quota L-DF5E4CA3)",),
    Verdict.SUBNET_EXHAUSTED: ALTERNATIVES,
    Verdict.PREFIX_FRAGMENTED: ALTERNATIVES,
}


def next_steps(incident: Incident) -> list[str]:
    """Advice in the order of its worth; empty where nothing is left to do."""
    return list(_advice(incident))


def _advice(incident: Incident) -> Iterator[str]:
    verification = incident.verification
    if verification and verification.nodes_to_replace and not replacement_under_way(incident):
        how = "press Replace, or replace" if replacement_offered(incident) else "replace"
        yield f"{how} these nodes, which have no free ENI slot: {names(verification.nodes_to_replace)}"
    if _failure_to_advise(incident) and incident.failure:
        yield _FOR_ERROR.get(incident.failure.error, _OTHER_ERROR)
    if incident.outcome == Outcome.NOT_CURABLE and incident.diagnosis:
        yield from _instead(incident.diagnosis)
    if incident.outcome in (Outcome.HEALED, Outcome.PARTLY) and incident.plan and incident.plan.leaked_interfaces:
        yield "this room does not last: it is what the deleted ENIs held. Plan more subnets before it is used up"
    if incident.outcome == Outcome.OBSERVED:
        yield _after_observing(incident)
    if incident.outcome == Outcome.FAILED and rollback_offered(incident):
        yield "press Rollback to remove what was made and restore the CNI's settings"
    if _rollback_failed(incident) and rollback_offered(incident):
        yield "clear what stands in the way of the rollback, then press Rollback again: it continues where it stopped"


def _failure_to_advise(incident: Incident) -> bool:
    """The reason why there is no plan names its own remedy, and so does what is in the way of a rollback."""
    told = incident.failure is None or incident.failure.error == NO_PLAN
    return not told and incident.outcome != Outcome.ROLLED_BACK and not _rollback_failed(incident)


def _rollback_failed(incident: Incident) -> bool:
    result = incident.steps.get(Step.ROLLBACK)
    return incident.outcome is not None and result is not None and result.state is StepState.FAILED


def _after_observing(incident: Incident) -> str:
    if incident.request and incident.request.dry_run:
        return "this was a dry run: start it again without dry_run to carry the plan out"
    return "the mode is observe: start a run by hand with mode approve, or set the cluster's mode to approve or auto"


def _instead(diagnosis: Diagnosis) -> tuple[str, ...]:
    return diagnosis.alternatives or _FOR_VERDICT.get(diagnosis.verdict, ())
