"""When signals open an incident and what it remembers of them: in whatever order they come, however often."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.signals.correlation import (
    MAX_COUNTED,
    MAX_NAMES,
    MAX_PENDING,
    Closings,
    Rules,
    SignalSummary,
    by_cluster,
    distinct,
    remember,
    should_open_incident,
    signals_after_cooldown,
    summarize,
)
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Signal, Source
from ip_remediator.signals.model import Affected, Shortage

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = Rules.of("2", "15", "15")


def signal(minute: float = 0, until: float | None = None, **fields: Any) -> Signal:
    """A weak signal that was seen from `minute` to `until` after noon."""
    defaults: dict[str, Any] = {
        "source": Source.KUBERNETES_EVENT,
        "cluster": "shop-prod",
        "cause": Cause.NO_ADDRESS,
        "strength": Strength.WEAK,
        "first_seen": NOON + timedelta(minutes=minute),
        "last_seen": NOON + timedelta(minutes=minute if until is None else until),
        "id": f"{minute}-{fields.get('pod')}-{fields.get('source')}",
    }
    return Signal(**{**defaults, **fields})


def alarm(minute: float = 0) -> Signal:
    return signal(minute, source=Source.ALARM)


@pytest.mark.parametrize(
    ("signals", "opens"),
    [
        ([signal(pod="a/a")], False),
        ([alarm()], False),
        ([signal(node="n1")], False),
        ([signal(pod="a/a", strength=Strength.STRONG)], True),
        ([signal(pod="a/a", strength=Strength.STRONG, cause=Cause.NODE_LIMIT)], True),
        ([signal(source=Source.MANUAL)], True),
        ([signal(pod="a/a"), signal(pod="a/b")], True),
        ([signal(pod="a/a"), signal(0.1, pod="a/a")], False),
        ([signal(pod="a/a"), signal(0.1, pod="a/a", source=Source.LOGS), signal(0.2, pod="a/a")], False),
        ([signal(pod="a/a"), alarm(14)], True),
        ([signal(pod="a/a"), alarm(15)], True),
        ([signal(pod="a/a"), alarm(15.1)], False),
        ([alarm(), alarm(5)], False),
        ([signal(pod="a/a", node="n1"), signal(node="n1")], False),
        ([signal(pod="a/a", node="n1"), signal(node="n2")], True),
        ([signal(pod="a/a", node="n1"), signal()], False),
        ([signal(node="n1"), signal()], False),
        ([signal(), alarm()], True),
        ([signal(pod="a/a"), signal(2, pod="a/a")], True),
        ([signal(pod="a/a"), signal(1.9, pod="a/a")], False),
        ([signal(0, 5, pod="a/a")], True),
        ([signal(cause=Cause.OTHER, pod="a/a"), signal(cause=Cause.OTHER, pod="a/b")], False),
        ([signal(cause=Cause.OTHER, strength=Strength.STRONG)], False),
    ],
    ids=[
        "one pod",
        "an alarm",
        "a node",
        "a strong one",
        "a strong one that addresses do not cure",
        "a person's",
        "two pods",
        "one pod twice within seconds",
        "one pod seen by exporter and log",
        "a pod and an alarm",
        "at the window's edge",
        "beyond the window",
        "alarms of one cluster",
        "a pod and its own node",
        "a pod and another node",
        "a pod and who quotes its event",
        "a node and who names none",
        "who names nobody and an alarm",
        "a pod that still fails two minutes later",
        "a pod that recovered before",
        "an event folded over five minutes",
        "unknown words",
        "unknown words, called strong",
    ],
)
def test_signals_open_an_incident_or_not(signals: list[Signal], opens: bool) -> None:
    assert should_open_incident(signals, RULES) is opens
    assert should_open_incident(signals[::-1], RULES) is opens


def test_one_weak_signal_is_enough_where_the_setting_says_so() -> None:
    assert should_open_incident([alarm()], Rules.of("1", "15", "15"))


def test_a_pod_that_fails_for_hours_counts_no_more_than_twice() -> None:
    lasting = [signal(minute, pod="a/a") for minute in range(120)]
    assert not should_open_incident(lasting, Rules.of("3", "15", "15"))
    assert should_open_incident([*lasting, alarm(7)], Rules.of("3", "15", "15"))


def test_two_glimpses_of_a_pod_an_hour_apart_are_not_one_long_failure() -> None:
    assert not should_open_incident([signal(0, pod="a/a"), signal(60, pod="a/a")], RULES)


CLOSED = NOON + timedelta(minutes=60)
CLOSED_ALL = Closings(CLOSED)


@pytest.mark.parametrize(("last", "relapse"), [(0, False), (60, False), (75, False), (75.1, True), (200, True)])
def test_what_was_last_seen_after_the_cool_down_is_a_relapse(last: float, relapse: bool) -> None:
    assert bool(signals_after_cooldown([signal(0, last, strength=Strength.STRONG)], CLOSED_ALL, RULES)) is relapse


def test_an_event_folded_since_before_the_close_counts_from_the_end_of_the_cool_down() -> None:
    [result] = signals_after_cooldown([signal(0, 76, pod="a/a")], CLOSED_ALL, RULES)
    assert result.first_seen == CLOSED + RULES.cool_down
    assert not should_open_incident([result], RULES)


PODS, NODES = Shortage(Affected.PODS), Shortage(Affected.NODES)
LAUNCH: dict[str, Any] = {"affected": Affected.NODES, "strength": Strength.STRONG, "cause": Cause.SUBNET_FULL}


@pytest.mark.parametrize(
    ("answered", "observed", "news"),
    [
        ({PODS: CLOSED}, signal(61, strength=Strength.STRONG), False),
        ({PODS: CLOSED}, signal(61, **LAUNCH), True),
        ({PODS: CLOSED}, signal(60, **LAUNCH), False),
        ({NODES: CLOSED}, signal(61, **LAUNCH), False),
        ({NODES: CLOSED}, signal(61, strength=Strength.STRONG), True),
        ({PODS: CLOSED, NODES: CLOSED + timedelta(minutes=5)}, signal(66, strength=Strength.STRONG), False),
        ({Shortage(Affected.PODS, "z-a"): CLOSED}, signal(61, zone="z-a", strength=Strength.STRONG), False),
        ({Shortage(Affected.PODS, "z-a"): CLOSED}, signal(61, zone="z-b", strength=Strength.STRONG), True),
        ({Shortage(Affected.PODS, "z-a"): CLOSED}, signal(61, strength=Strength.STRONG), False),
        ({PODS: CLOSED}, signal(61, zone="z-b", strength=Strength.STRONG), False),
    ],
    ids=[
        "pods after pods were healed",
        "nodes after pods were healed",
        "nodes before the pods' incident was closed",
        "nodes after nodes were served",
        "pods after nodes were served",
        "pods after pods were healed, and nodes since",
        "the zone that was served",
        "a zone that was not served",
        "no zone named",
        "a zone, where all were served",
    ],
)
def test_another_shortage_than_the_one_answered_is_no_straggler(
    answered: dict[Shortage, datetime], observed: Signal, news: bool
) -> None:
    closings = Closings(max(answered.values()) if len(answered) > 1 else CLOSED, answered)
    assert bool(signals_after_cooldown([observed], closings, RULES)) is news
    later = observed.model_copy(update={"last_seen": NOON + timedelta(minutes=90)})
    assert signals_after_cooldown([later], closings, RULES)


def test_without_a_closed_incident_every_signal_counts() -> None:
    assert signals_after_cooldown([signal()], None, RULES) == (signal(),)


def test_a_repeat_extends_the_time_seen_and_is_no_other_signal() -> None:
    first, folded = signal(5, id="x"), signal(5, 30, id="x")
    assert distinct([folded, first]) == distinct([first, folded]) == (folded,)


def test_what_is_remembered_are_the_latest_signals() -> None:
    many = [signal(minute, id=str(minute)) for minute in range(100)]
    shuffled = random.Random(7).sample(many, len(many))
    assert remember(shuffled[:40], shuffled[40:]) == tuple(many[-MAX_PENDING:])


def test_unknown_words_are_not_remembered() -> None:
    assert remember([], [signal(cause=Cause.OTHER)]) == ()


def test_clusters_of_which_only_unknown_words_are_known_are_left_out() -> None:
    other = signal(cause=Cause.OTHER, id="other")
    assert by_cluster([other]) == {}
    assert by_cluster([other, signal(id="known")]) == {"shop-prod": (other, signal(id="known"))}


def test_an_incident_remembers_who_and_when_within_bounds() -> None:
    storm = [signal(0, pod=f"a/p{index}", node=f"n{index}", id=str(index)) for index in range(1000)]
    summary = summarize(SignalSummary(), storm)
    assert (summary.count, len(summary.counted)) == (MAX_COUNTED, MAX_COUNTED)
    assert (len(summary.pods), len(summary.nodes)) == (MAX_NAMES, MAX_NAMES)
    assert summarize(summary, storm) is summary


def test_the_words_of_a_cause_proven_later_take_the_place_of_the_general_ones() -> None:
    general = summarize(SignalSummary(), [signal(excerpt="no address")])
    proven = signal(id="s", cause=Cause.SUBNET_FULL, strength=Strength.STRONG, excerpt="subnet full")
    assert summarize(general, [proven]).excerpt == "subnet full"
    assert summarize(summarize(general, [proven]), [signal(id="t", excerpt="again")]).excerpt == "subnet full"


# --- In any order, in any batches, however often

SIGNALS = st.builds(
    lambda minute, span, pod, node, source, strong, number: signal(
        minute,
        minute + span,
        pod=pod,
        node=node,
        source=source,
        strength=Strength.STRONG if strong else Strength.WEAK,
        id=f"{minute}-{pod}-{node}-{source}-{number}",
    ),
    st.integers(0, 90),
    st.sampled_from([0, 0, 0, 1, 3]),
    st.sampled_from([None, "a/a", "a/b", "a/c"]),
    st.sampled_from([None, "n1", "n2"]),
    st.sampled_from([Source.ALARM, Source.LOGS, Source.KUBERNETES_EVENT]),
    st.sampled_from([False, False, False, False, False, True]),
    st.integers(0, 2),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Signal], list[list[Signal]]]:
    """Signals, and the batches in which they are delivered: shuffled, some of them again."""
    signals = list(distinct(draw(st.lists(SIGNALS, min_size=1, max_size=12))))
    again = draw(st.lists(st.sampled_from(signals), max_size=6))
    order = draw(st.permutations(signals + again))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    batches = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return signals, [batch for batch in batches if batch]


@given(deliveries(), st.integers(1, 4))
def test_an_incident_opens_or_not_whatever_the_order_and_its_summary_is_the_same(
    delivered: tuple[list[Signal], list[list[Signal]]], needed: int
) -> None:
    signals, batches = delivered
    rules = Rules.of(str(needed), "15", "15")
    pending: Sequence[Signal] = ()
    opened: SignalSummary | None = None
    for batch in batches:
        if opened is None:
            pending = remember(pending, batch)
            opened = summarize(SignalSummary(), pending) if should_open_incident(pending, rules) else None
        else:
            opened = summarize(opened, batch)
    assert (opened is not None) is should_open_incident(signals, rules)
    if opened is not None:
        expected = summarize(SignalSummary(), signals)
        unordered = {"excerpt": "", "last_seen": None}
        assert opened.model_copy(update=unordered) == expected.model_copy(update=unordered)
        assert opened.last_seen is not None
        assert expected.last_seen is not None
        assert expected.last_seen - opened.last_seen < timedelta(minutes=1)
