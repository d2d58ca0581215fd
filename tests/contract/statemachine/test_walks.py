"""Every branch, every Catch and every Retry of the state machines, on two implementations of the States Language.

The walks are made from the definitions (`support/walks.py`), and a state, branch or Catch that none of them takes is a
failure. sfnx shares no interpreter of states with the embedded Step Functions. In each walk path, calls, payloads and
ending must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.aws.client import LocalAws
from tests.contract.statemachine.support.definitions import NAMES, load, states, traced, transitions
from tests.contract.statemachine.support.first import Embedded
from tests.contract.statemachine.support.passage import Passage
from tests.contract.statemachine.support.second import second_passage
from tests.contract.statemachine.support.walks import Walk, walks
from tests.support.local_aws import local_aws

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
Walked = list[tuple[Walk, Passage, Passage]]
AT_ONCE = 4


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS on which neither Waits nor pauses before a retry take time."""
    with local_aws(tmp_path_factory.mktemp("hurried-aws"), "--wait-scale", "0.0005") as started:
        yield started


@pytest.fixture(scope="module", params=NAMES)
def walked(hurried: LocalAws, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Walked:
    """Every walk of a definition with what both implementations did."""
    definition = load(request.param)
    trace = traced(definition)
    first = Embedded(hurried, tmp_path_factory.mktemp("walks"), trace)
    every = list(walks(request.param, definition))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        firsts = pool.map(first.passage, [walk.world for walk in every])
        return [(walk, done, second_passage(trace, walk.world)) for walk, done in zip(every, firsts, strict=True)]


def test_given_every_walk_when_two_implementations_take_it_then_path_calls_and_ending_are_the_same(
    walked: Walked,
) -> None:
    assert {walk.name: done for walk, done, _ in walked} == {walk.name: second for walk, _, second in walked}


def test_given_every_walk_then_no_state_branch_catch_or_retry_is_left_out(
    walked: Walked, request: pytest.FixtureRequest
) -> None:
    definition = load(request.node.callspec.params["walked"])
    entered = {name for _, done, _ in walked for name in [*done.path, *done.in_maps]}
    assert (states(definition).keys() | transitions(definition)) - entered == set()


def test_given_an_error_that_comes_again_and_again_then_it_is_tried_as_often_as_the_retry_says(walked: Walked) -> None:
    tried = [
        (walk.name, [state for calls in done.calls.values() for state, _ in calls].count(state), attempts)
        for walk, done, _ in walked
        for state, attempts in walk.attempts.items()
    ]
    assert tried
    assert [one for one in tried if one[1] % one[2]] == []
