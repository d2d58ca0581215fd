"""The timeline of an incident: who did what, when, with what result. Each entry is also an event on EventBridge.

The audit and the events cannot differ, because an event is an entry, with the names of its incident and cluster.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.common.enums import Mode, Outcome, Verdict

EVENT_SOURCE = "eks-ip-remediator"
# Who acts when nobody in particular does: signals, policy, the state machines.
AUTOMATIC = "eks-ip-remediator"
_MAX_DETAIL = 1000
_MAX_BY = 300


class Stage(StrEnum):
    """What an entry is about: the incident, one of its steps, or a question to people."""

    INCIDENT = "incident"
    EXECUTION = "execution"
    POLICY = "policy"
    DIAGNOSE = "diagnose"
    PLAN = "plan"
    APPROVE = "approve"
    APPROVAL = "approval"
    DELETE_LEAKED_ENIS = "delete_leaked_enis"
    ASSOCIATE_CIDR = "associate_cidr"
    CREATE_SUBNETS = "create_subnets"
    GIVE_SUBNETS = "give_subnets"
    APPLY_ENICONFIGS = "apply_eniconfigs"
    CONFIGURE_CNI = "configure_cni"
    VERIFY = "verify"
    UNDO = "undo"
    CHANGE = "change"
    REPLACE_NODES = "replace_nodes"
    REPLACEMENT_APPROVAL = "replacement_approval"
    ROLLBACK = "rollback"
    ROLLBACK_APPROVAL = "rollback_approval"


class State(StrEnum):
    """What became of it."""

    OPENED = "opened"
    CLOSED = "closed"
    STARTED = "started"
    READ = "read"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNDONE = "undone"
    ATTRIBUTED = "attributed"
    PENDING = "pending"
    REMINDED = "reminded"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class EventDetail(Document):
    """The numbers and names behind an entry, for programs. Only those that the entry is about are set."""

    mode: Mode | None = Field(default=None, description="of an incident that was opened")
    verdict: Verdict | None = Field(default=None, description="of a diagnosis, and when the incident closes")
    block: str | None = Field(default=None, description="CIDR of a plan, and when the incident closes")
    strategy: str | None = Field(default=None, description="of a plan: how pods get its addresses")
    plan_hash: str | None = Field(default=None, description="of a plan, and of a question about it")
    expires_at: datetime | None = Field(default=None, description="of a question: silence is a rejection from then on")
    healed: int | None = Field(default=None, description="pods that a verification found running with new addresses")
    still_stuck: int | None = Field(default=None, description="pods that a verification found still waiting")
    error: str | None = Field(default=None, description="name of what failed")
    outcome: Outcome | None = Field(default=None, description="when the incident closes")


class Entry(EventDetail):
    """One entry of the timeline, as it is stored. It is only ever added."""

    id: str = Field(description="unique; those of one incident sort by time")
    at: datetime
    by: str = Field(
        description="who: eks-ip-remediator for what nobody decided; a Slack user's id (and name) for a click; "
        "the ARN of a caller or of an execution for what was started by hand, or changed by others"
    )
    stage: Stage = Field(description="what it is about")
    state: State = Field(description="what became of it")
    detail: str = Field(default="", description="for people, at most 1,000 characters")

    @property
    def title(self) -> str:
        """`stage state`, in the words of the enums."""
        return f"{self.stage} {self.state}"


class StageEvent(Entry):
    """`detail` of an event with source eks-ip-remediator. `detail-type` is stage and state in words: "Plan done"."""

    version: Literal[1] = Field(default=1, description="of this schema; a new field does not make a new version")
    incident: str
    cluster: str

    @property
    def detail_type(self) -> str:
        """The event's `detail-type` on EventBridge."""
        return self.title.replace("_", " ").capitalize()


def entry(id_: str, at: datetime, stage: Stage, state: State, by: str, detail: str, facts: EventDetail) -> Entry:
    """An entry with its texts cut to what is kept."""
    details = facts.model_dump(exclude_none=True)
    return Entry(id=id_, at=at, by=by[:_MAX_BY], stage=stage, state=state, detail=detail[:_MAX_DETAIL], **details)
