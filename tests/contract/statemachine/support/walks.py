"""Walks made from a definition: every Catch and every Retry of every task, in the first world that reaches the task.

A world says how Choices are decided; from it come, for each task it reaches first,
- one walk for each error that a Catch names, and one with an error that nobody names,
- one for each Retry, whose error comes until the attempts are used up,
and for the world as a whole walks in which every task meets each retried error and then answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.contract.statemachine.support.definitions import Definition, State, states, traced
from tests.contract.statemachine.support.second import walk_second
from tests.contract.statemachine.support.worlds import BOOM, WORLDS, Answers, World, raising

ANY = "States.ALL"


@dataclass(frozen=True)
class Walk:
    """`attempts`: how often a state must be tried in it."""

    name: str
    world: World
    attempts: dict[str, int] = field(default_factory=dict)


def walks(name: str, definition: Definition) -> Iterator[Walk]:
    """Every walk of a definition."""
    trace, everything = traced(definition), states(definition)
    reached: set[str] = set()
    for title, world in WORLDS[name].items():
        plain = Walk(title, world)
        yield plain
        called = [call.state for call in walk_second(trace, world).calls]
        first = [state for state in dict.fromkeys(called) if state not in reached]
        reached |= set(first)
        for state in first:
            yield from _failures(plain, state, everything[state])
        yield from _recoveries(plain, {state: everything[state] for state in first})


def _failures(plain: Walk, name: str, state: State) -> Iterator[Walk]:
    caught = [error for catch in state.get("Catch", []) for error in catch["ErrorEquals"]]
    for error in dict.fromkeys([*(error for error in caught if error != ANY), BOOM]):
        yield Walk(f"{plain.name}: {name} meets {error}", _with(plain.world, {name: raising(error)}))
    for retry in state.get("Retry", []):
        error, attempts = retry["ErrorEquals"][-1], retry["MaxAttempts"] + 1
        world = _with(plain.world, {name: raising(error)})
        yield Walk(f"{plain.name}: {name} always meets {error}", world, {name: attempts})


def _recoveries(plain: Walk, tasks: dict[str, State]) -> Iterator[Walk]:
    """Each retrier's errors, as many in a walk as it takes; retriers of one position are tried together."""
    most = max((len(task.get("Retry", [])) for task in tasks.values()), default=0)
    for position in range(most):
        chunks: dict[str, list[list[dict[str, Any]]]] = {}
        for name, task in tasks.items():
            if position < len(task.get("Retry", [])):
                retry = task["Retry"][position]
                errors, most_errors = retry["ErrorEquals"], retry["MaxAttempts"]
                chunks[name] = [
                    [answer for error in errors[start : start + most_errors] for answer in raising(error)]
                    for start in range(0, len(errors), most_errors)
                ]
        for number in range(max(map(len, chunks.values()), default=0)):
            before = {name: given[number] for name, given in chunks.items() if number < len(given)}
            title = f"{plain.name}: every task meets retry {position + 1}, part {number + 1}, and answers"
            yield Walk(title, _after(plain.world, before))


def _with(world: World, answers: Answers) -> World:
    """`answers` for these states in every zone."""
    kept = {key: given for key, given in world.answers.items() if not any(key.startswith(name) for name in answers)}
    return World(world.document, {**kept, **answers})


def _after(world: World, before: Answers) -> World:
    """The world's answers, each after those of `before`."""
    answers = dict(world.answers)
    for name, first in before.items():
        keys = [key for key in world.answers if key.startswith(name)] or [name]
        for key in keys:
            answers[key] = first + world.answers.get(key, [{"returns": {}}])
    return World(world.document, answers)
