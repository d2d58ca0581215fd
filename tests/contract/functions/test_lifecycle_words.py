"""What people read when a step failed and its undo did, too."""

from __future__ import annotations

import json

import pytest

from ip_remediator.common.errors import NotYet, ServiceUnavailable, Throttled, Transient
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.incidents.record import Step
from ip_remediator.remediation.caught import Caught, failure_of, step_of


def cause(message: str) -> str:
    """As Lambda tells an exception."""
    return json.dumps({"errorMessage": message, "errorType": "Some", "stackTrace": []})


@pytest.mark.parametrize(
    ("undo", "words"),
    [
        (None, "the kill switch is on"),
        ("the kill switch is on", "the kill switch is on; for the same reason not all was undone"),
        ("access denied", "the kill switch is on; the undo failed as well: access denied"),
    ],
)
def test_given_a_failed_undo_then_its_reason_is_told_once(undo: str | None, words: str) -> None:
    caught = {"step": "Move the pods off", "Error": "KillSwitchOn", "Cause": cause("the kill switch is on")}
    if undo:
        caught |= {"undo": {"Error": "Other", "Cause": cause(undo)}}
    assert failure_of(Caught.model_validate(caught), ()).message == words


def test_given_a_sentence_of_aws_then_what_follows_stands_behind_no_full_stop() -> None:
    caught = {"step": "Create the zone's subnet", "Error": "QuotaReached", "Cause": cause("No more subnets.")}
    caught |= {"undo": {"Error": "Other", "Cause": cause("Not allowed.")}}
    message = failure_of(Caught.model_validate(caught), ()).message
    assert message == "No more subnets; the undo failed as well: Not allowed."


def test_what_an_execution_sends_that_began_before_an_update_is_read() -> None:
    # given the shape that the first release's state machines send
    sent = {"step": "create_subnets", "error": "NotFound", "cause": cause("no subnet")}
    undo = {"undo_error": "PermissionDenied", "undo_cause": cause("denied")}

    # then it is told, and its step is known
    failure = failure_of(Caught.model_validate({**sent, **undo}), ())
    assert (failure.error, failure.message) == ("NotFound", "no subnet; the undo failed as well: denied")
    assert step_of("create_subnets") is step_of("Create the zone's subnet") is Step.CREATE_SUBNETS


@pytest.mark.parametrize("kind", [Throttled, ServiceUnavailable])
def test_an_error_worth_trying_again_crosses_the_edge_by_one_name_and_is_told_by_its_own(kind: type[Exception]) -> None:
    # given a handler that meets it
    @one_transient_error
    def handler(event: object, context: object) -> dict[str, object]:
        raise kind("DescribeVpcs: slow down")

    # when its retries are used up
    with pytest.raises(Transient) as raised:
        handler({}, None)
    assert type(raised.value) is Transient
    caught = {"step": "Diagnose", "Error": "Transient", "Cause": cause(str(raised.value))}

    # then people read what it was
    failure = failure_of(Caught.model_validate(caught), ())
    assert (failure.error, failure.message) == (kind.__name__, "DescribeVpcs: slow down")


def test_what_waits_keeps_its_name_at_the_edge() -> None:
    @one_transient_error
    def handler(event: object, context: object) -> dict[str, object]:
        raise NotYet("the CIDR is associating")

    with pytest.raises(NotYet):
        handler({}, None)
