"""An incident's record: everything that is known, decided and done about one shortage of addresses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from ip_remediator.common.actor import ActorField, RecordsActors
from ip_remediator.common.document import Document
from ip_remediator.common.enums import Mode, Outcome, incident_id
from ip_remediator.common.errors import RequestRefused
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.calls_by_others import CallsByOthers
from ip_remediator.incidents.change_record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.incidents.replacement_record import Replacement, ZoneReplacement
from ip_remediator.incidents.timeline import EventDetail, State
from ip_remediator.planning.model import Plan, RequestedStrategy
from ip_remediator.signals.correlation import SignalSummary
from ip_remediator.snapshot.model_node_group import NodeGroupState

__all__ = [
    "Approval",
    "ApprovalState",
    "AskReason",
    "ChangeKind",
    "ChangeMade",
    "Failure",
    "HealedPod",
    "Incident",
    "Mode",
    "Outcome",
    "Policy",
    "Progress",
    "RecordedChange",
    "Rollback",
    "RollbackAssessment",
    "RollbackState",
    "RunRequest",
    "SignalSummary",
    "SlackMessage",
    "SlackReply",
    "Step",
    "StepResult",
    "StepState",
    "SubnetBalance",
    "Verification",
    "facts_of",
    "incident_id",
]


class Step(StrEnum):
    """The steps people see, in order."""

    DIAGNOSE = "diagnose"
    PLAN = "plan"
    APPROVE = "approve"
    DELETE_LEAKED_ENIS = "delete_leaked_enis"
    ASSOCIATE_CIDR = "associate_cidr"
    CREATE_SUBNETS = "create_subnets"
    GIVE_SUBNETS = "give_subnets"
    APPLY_ENICONFIGS = "apply_eniconfigs"
    CONFIGURE_CNI = "configure_cni"
    VERIFY = "verify"
    UNDO = "undo"
    REPLACE_NODES = "replace_nodes"
    ROLLBACK = "rollback"


class StepState(StrEnum):
    """The state of a step, as Slack's checklist and the timeline show it."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepResult(Document):
    """The latest state of a step, since when, and a short reason."""

    state: StepState
    at: datetime
    note: str = ""


class ApprovalState(StrEnum):
    """The state of a question."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class AskReason(StrEnum):
    """Why people are asked about a plan. `mode`: mode approve, where they always are."""

    MODE = "mode"
    RISK = "risk"
    CHANGE_WINDOW = "change_window"
    DAILY_LIMIT = "daily_limit"
    PLAN_CHANGED = "plan_changed"
    AFTER_ROLLBACK = "after_rollback"


class Approval(RecordsActors):
    """A question to people, bound to the plan's hash. The task token behind `id` never leaves DynamoDB.

    `why`: what made the remediator ask, for people; `reason`: the same as a code, None in records of release 0.1.0 and
    for other questions than about a plan. `reminded_at`: when people were reminded that it expires soon.
    `usual_seconds`: how long plans of this kind took in earlier incidents, None where none was measured.
    """

    actor_fields = ("decided_by",)

    id: str
    state: ApprovalState
    plan_hash: str
    asked_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    decided_by: ActorField | None = None
    why: str = ""
    reason: AskReason | None = None
    reminded_at: datetime | None = None
    usual_seconds: int | None = None


class Policy(Document):
    """What may be done to the incident's cluster: the stack's parameters, overridden by the cluster's tags.

    `notes` tell which settings were not understood, and what was taken instead.
    """

    mode: Mode
    auto_max_risk: Literal["low", "medium", "high"] = "low"
    change_window: str = ""
    accepted_risks: tuple[str, ...] = ()
    slack_channel: str | None = None
    slack_mention: str | None = None
    strategy: RequestedStrategy | None = None
    kill_switch: bool = False
    notes: tuple[str, ...] = ()


class RunRequest(Document):
    """What the person who started the run by hand asked for; None and empty: as the remediator sees fit."""

    mode: Mode | None = None
    block: str | None = None
    zones: tuple[str, ...] = ()
    strategy: RequestedStrategy | None = None
    dry_run: bool = False


class Failure(Document):
    """What went wrong, in words for people; `outstanding` says which changes are left."""

    step: str
    error: str
    message: str
    outstanding: str = Field(default="", alias="stands")


class HealedPod(Document):
    """A pod that was stuck and runs now, with its address as the proof."""

    namespace: str
    name: str
    node: str | None
    zone: str | None
    address: str | None
    subnet: str | None


class SubnetBalance(Document):
    """Free addresses of a subnet before and after."""

    id: str
    zone: str
    cidr: str
    before: int | None
    after: int | None


class Verification(Document):
    """What was read back from Kubernetes and EC2 after the change.

    `expected`: how many pods the plan said it would heal without a node being replaced, less those that are gone.
    """

    healed: tuple[HealedPod, ...] = ()
    still_stuck: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    without_node: tuple[str, ...] = Field(
        default=(), description="those of `still_stuck` that came in the place of gone ones, and that no node has"
    )
    subnets: tuple[SubnetBalance, ...] = ()
    nodes_to_replace: tuple[str, ...] = ()
    expected: int | None = None
    freed: dict[str, int] = Field(default_factory=dict, description="addresses that nodes gave back, by subnet")
    joined: tuple[str, ...] = Field(default=(), description="the nodes that were launched in the plan's subnets")
    node_groups: tuple[NodeGroupState, ...] = Field(
        default=(), description="where not all is healed: the managed node groups that were not well then"
    )

    @property
    def shortfall(self) -> int:
        """How many pods fewer than expected run; 0 when it is as expected or better."""
        return max(0, (self.expected or 0) - len(self.healed))


class Progress(Document):
    """How far a step is that waits for many: `done` of `total` pods run, or ENIs are gone."""

    step: Step
    unit: Literal["pod", "ENI"] = Field(alias="what")
    done: int = Field(ge=0)
    total: int = Field(ge=0)


class SlackReply(Document):
    """A reply in the message's thread. `about` is what it calls people for (`notifications.messages.calls`);
    `settled`: it says by now what became of that."""

    about: str
    ts: str
    settled: bool = False


class SlackMessage(Document):
    """Where the incident's message stands, the digest of what it last showed, and the replies in its thread.

    `reminded`: the id of the question that people were last reminded of, as releases before the replies wrote it.
    """

    channel: str
    ts: str
    digest: str
    reminded: str = ""
    replies: tuple[SlackReply, ...] = ()


class RollbackState(StrEnum):
    """How far a rollback is. `paused`: something is in its way, and the next one goes on from there."""

    ASSESSED = "assessed"
    RUNNING = "running"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    DONE = "done"


class RollbackAssessment(Document):
    """What uses the incident's subnets, looked at just before people are asked.

    `in_the_way` forbids the rollback whatever people say; `notes` is what they should know before they confirm.
    """

    at: datetime
    pods: int = Field(ge=0, description="pods with an address of the incident's subnets")
    pod_names: tuple[str, ...] = Field(default=(), description="the first of them, namespace/name")
    interfaces: int = Field(ge=0, description="ENIs in the incident's subnets")
    free_elsewhere: int | None = Field(default=None, ge=0, description="free addresses in the VPC's other subnets")
    standing: tuple[ChangeKind, ...] | None = Field(
        default=None, description="the kinds of changes that are still in place; None: not recorded"
    )
    in_the_way: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class HangingPods(Document):
    """Pods that were created since the assessment and have no IP address, read at the end of the rollback."""

    at: datetime
    number: int = Field(ge=0)
    names: tuple[str, ...] = Field(default=(), description="the first of them, namespace/name")


class Rollback(RecordsActors):
    """The incident's latest rollback. `evict`: pods are moved off the block, because somebody asked for it.

    The question to people, while there is one, is `Incident.rollback_approval`.
    """

    actor_fields = ("requested_by",)

    state: RollbackState
    requested_by: ActorField
    assessment: RollbackAssessment | None = None
    evict: bool = False
    successor: str | None = Field(
        default=None, alias="heir", description="the later incident that keeps what it depends on"
    )
    left_alone_until: datetime | None = Field(
        default=None, description="until then, signals of the pods that it moved open no incident"
    )
    hanging: HangingPods | None = Field(default=None, description="None: they were not read back")


class Incident(Document):
    """The record. What has not happened yet is None."""

    id: str
    schema_number: int = Field(default=1, description="the SCHEMA of the release that opened it")
    cluster: str
    region: str
    mode: Mode
    opened_at: datetime
    reason: str = ""
    signals: SignalSummary = SignalSummary()
    execution: str | None = None
    request: RunRequest | None = None
    policy: Policy | None = None
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    approval: Approval | None = None
    steps: dict[Step, StepResult] = Field(default_factory=dict)
    subnets: dict[str, str] = Field(
        default_factory=dict, description="the subnet for pods, by zone: made, or used as it was"
    )
    progress: Progress | None = Field(default=None, description="of the step that waits, or waited last")
    verification: Verification | None = None
    failure: Failure | None = None
    outcome: Outcome | None = None
    closed_at: datetime | None = None
    slack: SlackMessage | None = None
    rollback: Rollback | None = None
    rollback_approval: Approval | None = None
    after_rollback: str | None = Field(
        default=None, description="the incident that people rolled back before signals opened this one: they decide"
    )
    next_incident: str | None = Field(
        default=None, description="the incident for nodes that was opened when this one had given pods addresses"
    )
    follows: str | None = Field(default=None, description="the incident whose `next_incident` this one is")
    cidr_successor: str | None = Field(
        default=None, alias="cidr_heir", description="the later incident that keeps its CIDR, and its block"
    )
    inherits: tuple[str, ...] = Field(default=(), description="earlier incidents whose CIDR, and block, it keeps")
    change_execution: str | None = Field(
        default=None,
        description="the latest execution that changes the closed incident: it rolls back, or replaces nodes",
    )
    replacement: Replacement | None = None
    replacement_approval: Approval | None = None
    replacements: dict[str, ZoneReplacement] = Field(default_factory=dict, description="how far each zone's nodes are")
    calls_by_others: CallsByOthers | None = Field(
        default=None, description="the calls by which others changed what it works on, once CloudTrail has them"
    )

    @property
    def open(self) -> bool:
        """Whether an execution may still work on it; it ends with an outcome."""
        return self.outcome is None

    @property
    def questions(self) -> tuple[Approval | None, Approval | None, Approval | None]:
        """The latest question about the plan, about a rollback, and about the replacement of nodes."""
        return self.approval, self.rollback_approval, self.replacement_approval

    def require_plan(self) -> Plan:
        """The plan that a step carries out.

        Raises:
            RequestRefused: the incident has none.
        """
        if self.plan is None:
            raise RequestRefused(f"incident {self.id} has no plan")
        return self.plan

    @property
    def pointed_eni_configs(self) -> dict[str, str]:
        """The ENIConfigs that the plan needs, and the subnet that each must point at."""
        subnets = self.require_plan().subnets
        return {name: self.subnets[subnet.zone] for subnet in subnets for name in subnet.eni_configs}


def facts_of(documents: Mapping[str, Document], state: State) -> EventDetail:
    """The facts of a step's documents, for the timeline. A failure that was overcome is left out."""
    details: dict[str, Any] = {}
    for document in documents.values():
        match document:
            case Diagnosis():
                details["verdict"] = document.verdict
            case Plan():
                details |= {"block": document.block, "strategy": document.strategy, "plan_hash": document.hash}
            case Verification():
                details |= {"healed": len(document.healed), "still_stuck": len(document.still_stuck)}
            case Failure() if state is State.FAILED:
                details["error"] = document.error
    return EventDetail(**details)
