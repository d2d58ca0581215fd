"""The actions of a function, as a typed table. The function's handler and the state machines' lint both read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import Field

from ip_remediator.common.document import Document


class Effect(StrEnum):
    """What an action does to the cluster or the VPC. `restores`: it only reverts changes that are recorded."""

    READS = "reads"
    WRITES = "writes"
    RESTORES = "restores"


class Request(Document):
    """The input that a state sends. Unknown fields are ignored and later fields have a default, because an execution
    keeps the definition that it started with, across updates of the stack."""


class OfIncident(Request):
    """The input that every action has. `execution`: the ARN of the one that asks; None: it began before state machines
    sent it."""

    incident: str = Field(min_length=1)
    execution: str | None = None


class InZone(OfIncident):
    """The input of an action that is about one zone."""

    zone: str


class Result(Document):
    """The output that a state gets: outcomes and counts only, because lists grow with the cluster and a payload holds
    at most 256 KiB."""


WorkT = TypeVar("WorkT")
RequestT = TypeVar("RequestT", bound=Request)
ResultT = TypeVar("ResultT", bound=Result)
Run = Callable[[WorkT, RequestT], ResultT]


@dataclass(frozen=True)
class Action(Generic[WorkT]):
    """What a function does under one name, with the models of its input and output."""

    name: str
    request: type[Request]
    result: type[Result]
    effect: Effect
    run: Callable[[WorkT, Any], Result]


@dataclass(frozen=True)
class ActionCall(Generic[WorkT]):
    """An action with its checked input."""

    action: Action[WorkT]
    request: Any

    @property
    def effect(self) -> Effect:
        """Whether the action reads or writes."""
        return self.action.effect

    @property
    def needs_lock(self) -> bool:
        """Temporary changes (cordons, warm targets) are restored even by an execution that has lost the VPC's lock."""
        return self.effect is Effect.WRITES or (self.effect is Effect.RESTORES and self.action.name == "undo")

    def perform(self, work: WorkT) -> dict[str, Any]:
        """The result as JSON, without fields that the action left at their default. Raises what the action raises."""
        return self.action.run(work, self.request).model_dump(mode="json", exclude_unset=True)


class UnknownAction(Exception):
    """A state asks for an action that this function does not have; the message lists those it has."""


class ActionTable(Generic[WorkT]):
    """The actions of one function. `based_on`: tables of lower packages for the same function."""

    def __init__(self, *based_on: ActionTable[WorkT]) -> None:
        self._actions: dict[str, Action[WorkT]] = {action.name: action for table in based_on for action in table}

    def __iter__(self) -> Iterator[Action[WorkT]]:
        return iter(self._actions.values())

    def action(
        self, request: type[RequestT], result: type[ResultT], effect: Effect, name: str | None = None
    ) -> Callable[[Run[WorkT, RequestT, ResultT]], Run[WorkT, RequestT, ResultT]]:
        """Adds the decorated function, under its own name unless `name` gives another."""

        def add(run: Run[WorkT, RequestT, ResultT]) -> Run[WorkT, RequestT, ResultT]:
            key = name or run.__name__
            if key in self._actions:
                raise ValueError(f"there is an action {key!r} already")
            self._actions[key] = Action(key, request, result, effect, run)
            return run

        return add

    def find(self, name: str | None) -> Action[WorkT]:
        """The action of this name; a function with a single one needs no name.

        Raises:
            UnknownAction
        """
        if name is None and len(self._actions) == 1:
            return next(iter(self))
        if name not in self._actions:
            raise UnknownAction(f"field 'action': {name!r} is none; this function has {', '.join(self._actions)}")
        return self._actions[name]

    def parse(self, event: Mapping[str, Any]) -> ActionCall[WorkT]:
        """The event as a call.

        Raises:
            UnknownAction
            pydantic.ValidationError: a field is missing or of the wrong type.
        """
        action = self.find(event.get("action"))
        return ActionCall(action, action.request.model_validate(event))
