"""Handles a click: answers a question, or starts a rollback, a node replacement or a new run. Runs after Slack got its
answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import urllib3

from ip_remediator.approvals.answer import answer
from ip_remediator.approvals.questions import ApprovalRefused, Approvals
from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.slack.client import UserGroups, web_client
from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import utc_now
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.common.slack_actions import SlackAction
from ip_remediator.incidents.opening import IncidentOpen
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import run_again
from ip_remediator.observability import logger
from ip_remediator.slack_interactions.access import Access

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from ip_remediator.clients.aws.secrets import SlackSecret
    from ip_remediator.settings import SlackSettings
    from ip_remediator.slack_interactions.requests import Click

_OF_ROLLBACK = (SlackAction.ROLLBACK_CONFIRM, SlackAction.ROLLBACK_EVICT, SlackAction.ROLLBACK_CANCEL)
_REPLY_TIMEOUT_SECONDS = 5.0


class _Started(NamedTuple):
    """What a button starts: its name for people, and the prefix of its executions' names."""

    name: str
    prefix: str


_STARTED = {
    SlackAction.ROLLBACK: _Started("rollback", "rb"),
    SlackAction.REPLACE: _Started("replacement of nodes", "rn"),
    SlackAction.RUN_AGAIN: _Started("new run", "ra"),
}


class Clicks:
    """`machines`: the ARN of the state machine that a button starts, by the button's action."""

    def __init__(
        self,
        approvals: Approvals,
        incidents: Incidents,
        sfn: SFNClient,
        machines: Mapping[SlackAction, str],
        access: Access,
    ) -> None:
        self._approvals = approvals
        self._incidents = incidents
        self._sfn = sfn
        self._machines = machines
        self._access = access

    def act(self, click: Click) -> str | None:
        """Does what the button says. Returns what only the person who clicked should see, if anything: the
        message itself changes when the incident's record does.

        Safe to repeat: the first answer to a question counts, and an offer starts one execution.

        Raises:
            The errors of `common.errors`: nothing is lost, the click can be tried again.
        """
        refusal = self._access.refusal(click)
        if refusal:
            return refusal
        return self._start(click) if click.action in self._machines else self._answer(click)

    def _answer(self, click: Click) -> str | None:
        evict = click.action is SlackAction.ROLLBACK_EVICT if click.action in _OF_ROLLBACK else None
        try:
            return answer(
                self._approvals, self._sfn, click.subject, approved=click.action.agrees, by=_actor(click), evict=evict
            )
        except ApprovalRefused as refusal:
            return f"Nothing was changed by your click: {refusal}."

    def _start(self, click: Click) -> str | None:
        """One execution for each offer: its name comes from the offer, so double clicks and replays are one start."""
        offer = hashlib.sha256(click.offer.encode()).hexdigest()[:8]
        try:
            document = self._input(click)
        except (IncidentNotFound, IncidentOpen) as reason:
            return f"Nothing was started: {reason}."
        started = _STARTED[click.action]
        with aws_call("StartExecution"):
            try:
                self._sfn.start_execution(
                    stateMachineArn=self._machines[click.action],
                    name=f"{started.prefix}-{click.subject[:68]}-{offer}",
                    input=json.dumps(document),
                )
            except self._sfn.exceptions.ExecutionAlreadyExists:
                return f"This {started.name} of {click.subject} was asked for already; its message shows how far it is."
        return None

    def _input(self, click: Click) -> dict[str, object]:
        """The input of the execution that the button starts.

        Raises:
            IncidentNotFound
            IncidentOpen: a new run is asked for, and the cluster has one that is not closed.
        """
        document: dict[str, object] = {"incident": click.subject, "requested_by": _actor(click).model_dump(mode="json")}
        if click.action is SlackAction.REPLACE:
            document["confirmed"] = True  # by the button's own dialog, which has the numbers
        if click.action is not SlackAction.RUN_AGAIN:
            return document
        incident = self._incidents.get(click.subject)
        present = self._incidents.open_incident(incident.cluster)
        if present:
            raise IncidentOpen(f"cluster {incident.cluster} has an open incident, {present}: look at its message")
        return run_again(incident, str(_actor(click)))


def _actor(click: Click) -> Actor:
    return Actor.slack(click.user_id, click.user_name)


@lru_cache(maxsize=1)
def clicks_of(settings: SlackSettings, secret: SlackSecret) -> Clicks:
    """What works on the deployed table, state machine and Slack; one per container and secret."""
    approvals = Approvals(session.table(settings.incidents_table), utc_now)
    groups = UserGroups(web_client(secret.bot_token, settings.slack_api_url))
    access = Access(settings.allowed_users, settings.allowed_channels, groups.members)
    machines = {
        SlackAction.ROLLBACK: settings.rollback_state_machine_arn,
        SlackAction.REPLACE: settings.replacement_state_machine_arn,
        SlackAction.RUN_AGAIN: settings.remediation_state_machine_arn,
    }
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    return Clicks(approvals, incidents, session.client("stepfunctions"), machines, access)


class Worker(Protocol):
    """Does what a click asks for; returns what only the person who clicked should see, if anything."""

    def act(self, click: Click) -> str | None:
        """Acts on the click; returns the private reply, None if there is none."""


def perform(worker: Worker, click: Click) -> None:
    """Acts, and sends the person who clicked a private reply if there is one.

    Whatever the worker raises goes on to Lambda, which tries again.
    """
    private_text: str | None = "That did not work yet. It will be tried again within a few minutes."
    try:
        private_text = worker.act(click)
    finally:
        if private_text:
            reply_privately(click, private_text)


def reply_privately(click: Click, text: str, blocks: Sequence[dict[str, Any]] = ()) -> None:
    """An ephemeral message to the person who clicked, through the interaction's response_url.

    The answer to the interaction itself cannot carry one: Slack ignores its body for block_actions
    (https://docs.slack.dev/interactivity/handling-user-interaction). A reply that fails is logged and forgotten.
    """
    body: dict[str, Any] = {"response_type": "ephemeral", "replace_original": False, "text": text}
    if blocks:
        body["blocks"] = list(blocks)
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "POST", click.response_url, json=body, timeout=_REPLY_TIMEOUT_SECONDS, retries=1, redirect=False
            )
    except urllib3.exceptions.HTTPError as error:
        logger.warning("private reply failed", extra={"error": type(error).__name__})
        return
    if answer.status != HTTPStatus.OK:
        logger.warning("private reply failed", extra={"status": answer.status})
