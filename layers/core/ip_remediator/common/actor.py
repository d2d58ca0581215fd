"""Who asked for something or decided it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializerFunctionWrapHandler, model_serializer, model_validator

from ip_remediator.common.document import Document

# How records and executions of release 0.1.0 name a Slack user: `U0123 (name)`. Ids of users:
# https://docs.slack.dev/reference/objects/user-object
_SLACK_USER_TEXT = re.compile(r"([UW](?=[A-Z]*[0-9])[A-Z0-9]{6,20})(?: \((.{1,80})\))?")
_SLACK_USER_ID = re.compile(r"[UW][A-Z0-9]{2,20}")
_LONGEST = 200


class ActorKind(StrEnum):
    """How somebody is known: to Slack, to AWS, or by a name only."""

    SLACK_USER = "slack_user"
    AWS_PRINCIPAL = "aws_principal"
    OTHER = "other"


class Actor(Document):
    """A person or a program. `id`: of the Slack user, or the principal's ARN. `name` is for people."""

    kind: ActorKind
    id: str = ""
    name: str = ""

    def __str__(self) -> str:
        """For people and for the timeline: `U0123 (name)`, an ARN, or the name."""
        if self.kind is ActorKind.SLACK_USER and self.name:
            return f"{self.id} ({self.name})"
        return self.id or self.name

    @property
    def slack_user(self) -> str:
        """The Slack user's id; "" for everybody else, and for what is no id: a message would call whomever it names."""
        return self.id if self.kind is ActorKind.SLACK_USER and _SLACK_USER_ID.fullmatch(self.id) else ""

    @classmethod
    def slack(cls, user_id: str, user_name: str = "") -> Actor:
        """A Slack user, by the id and the name in the signed payload."""
        return cls(kind=ActorKind.SLACK_USER, id=user_id, name=user_name)

    @classmethod
    def aws(cls, arn: str) -> Actor:
        """An AWS principal; a longer ARN is cut."""
        return cls(kind=ActorKind.AWS_PRINCIPAL, id=arn[:_LONGEST])

    @classmethod
    def named(cls, name: str) -> Actor:
        """Somebody who is neither: only the name is known."""
        return cls(kind=ActorKind.OTHER, name=name)


SOMEBODY = Actor.named("somebody")
STARTED_BY_HAND = Actor.named("somebody who started it by hand")


def _from_text(value: object) -> object:
    """An actor from the text that people type and that release 0.1.0 stored.

    Raises:
        ValueError: the text is empty or longer than 200 characters.
    """
    if not isinstance(value, str):
        return value
    if not 0 < len(value) <= _LONGEST:
        raise ValueError(f"name who asks, in 1 to {_LONGEST} characters")
    user = _SLACK_USER_TEXT.fullmatch(value)
    if user:
        return Actor.slack(user[1], user[2] or "")
    return Actor.aws(value) if value.startswith("arn:") else Actor.named(value)


# A field that takes an actor, or a text that names one.
ActorField = Annotated[Actor, BeforeValidator(_from_text)]


class RecordsActors(Document):
    """A stored document with actors in the fields that `actor_fields` names.

    `requested_by` is stored as the text that release 0.1.0 reads, and beside it, as `requested_by_actor`, the actor.
    """

    actor_fields: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_actors(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        stored = {name: document.get(f"{name}_actor") for name in cls.actor_fields}
        return {**document, **{name: actor for name, actor in stored.items() if actor}}

    @model_serializer(mode="wrap")
    def _write_actors(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        for name in self.actor_fields:
            actor: Actor | None = getattr(self, name)
            if actor:
                document |= {name: str(actor), f"{name}_actor": actor.model_dump(mode="json")}
        return document
