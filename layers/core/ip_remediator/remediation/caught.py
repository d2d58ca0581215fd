"""The error that a state machine caught, and its description for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import AliasChoices, Field, model_validator

from ip_remediator.common.document import Document
from ip_remediator.common.handler_edge import original_error
from ip_remediator.incidents.record import ChangeMade, Failure, Step

# The state whose failure fails a step that people see. Executions that began before an update name the step itself.
STEPS = {
    "Diagnose": Step.DIAGNOSE,
    "Plan": Step.PLAN,
    "Ask people": Step.APPROVE,
    "Remind people": Step.APPROVE,
    "Delete the leaked ENIs": Step.DELETE_LEAKED_ENIS,
    "Add the CIDR to the VPC": Step.ASSOCIATE_CIDR,
    "Create the zone's subnet": Step.CREATE_SUBNETS,
    "Create a subnet in each zone": Step.CREATE_SUBNETS,
    "Give the subnets away": Step.GIVE_SUBNETS,
    "Create the ENIConfigs": Step.APPLY_ENICONFIGS,
    "Configure the CNI": Step.CONFIGURE_CNI,
    "Was the CNI switched?": Step.CONFIGURE_CNI,
    "Watch the rollout of aws-node": Step.CONFIGURE_CNI,
    "Verify": Step.VERIFY,
    "Judge what is there": Step.VERIFY,
}


# Executions that began before an update end with the names of their own definition.
_FORMER_NAMES = {"Switch the CNI to custom networking": "Configure the CNI"}


class ErrorOutput(Document):
    """Step Functions' `$states.errorOutput`. Executions that began before an update send the lower-case names."""

    error: str = Field(validation_alias=AliasChoices("Error", "error"))
    cause: str = Field(default="", validation_alias=AliasChoices("Cause", "cause"))


class Caught(ErrorOutput):
    """`step`: the name of the state that failed. `undo`: the undo failed as well."""

    step: str
    zone: str | None = None
    undo: ErrorOutput | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_definition(cls, document: Any) -> Any:
        if isinstance(document, dict) and "undo_error" in document:
            undo = {"error": document["undo_error"], "cause": document.get("undo_cause", "")}
            return {**document, "undo": undo}
        return document


def step_of(state: str) -> Step:
    """The step that people see, by the name of the remediation's state that failed."""
    state = _FORMER_NAMES.get(state, state)
    return STEPS[state] if state in STEPS else Step(state)


def failure_of(caught: Caught, made: Sequence[ChangeMade]) -> Failure:
    """The caught error and what is left in place, in words for people."""
    error, message = original_error(caught.error, caught.cause)
    if caught.undo is not None:
        _, undo = original_error(caught.undo.error, caught.undo.cause)
        also = "for the same reason not all was undone" if undo == message else f"the undo failed as well: {undo}"
        message = f"{message.removesuffix('.')}; {also}"
    remaining = ", ".join(str(change) for change in made if change.kind.outstanding)
    outstanding = f"still there: {remaining}" if remaining else "nothing that was made is left"
    deleted = ", ".join(change.target for change in made if not change.kind.outstanding)
    return Failure(
        step=caught.step,
        error=error,
        message=message,
        outstanding=f"deleted for good: {deleted}" if deleted and not remaining else outstanding,
    )
