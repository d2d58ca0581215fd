"""Events folded as client-go folds them."""

from __future__ import annotations

from datetime import UTC, datetime

from local.cluster.events import COMBINED_PREFIX, Correlator, Occurrence, Recorded

POD = {"kind": "Pod", "namespace": "default", "name": "nginx-1", "uid": "u1"}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def happen(correlator: Correlator, message: str, now: float, subject: dict[str, str] = POD) -> Recorded | None:
    decided = correlator.correlate(Occurrence(subject, "Warning", "FailedCreatePodSandBox", message), now, MOMENT)
    if decided is None:
        return None
    key, recorded = decided
    if recorded.name is None:
        correlator.written(key, f"event-{key[-1]}")
    return recorded


def test_given_the_same_message_again_then_the_first_event_is_counted_up() -> None:
    correlator = Correlator()
    first, second = happen(correlator, "no address", 0), happen(correlator, "no address", 10)
    assert first is not None
    assert second is not None
    assert (first.count, first.name) == (1, None)
    assert (second.count, second.name, second.message) == (2, "event-no address", "no address")


def test_given_ten_different_messages_then_the_tenth_and_later_ones_are_combined_into_one_event() -> None:
    correlator = Correlator()
    recorded = [happen(correlator, f"sandbox {number}", number) for number in range(12)]
    assert [item.message for item in recorded[:9] if item] == [f"sandbox {number}" for number in range(9)]
    tenth, eleventh, twelfth = recorded[9:]
    assert tenth is not None
    assert eleventh is not None
    assert twelfth is not None
    assert tenth.message == f"{COMBINED_PREFIX}sandbox 9"
    assert (tenth.count, eleventh.count, twelfth.count) == (1, 2, 3)
    assert tenth.name is None
    assert eleventh.name == twelfth.name is not None


def test_given_more_than_ten_minutes_of_silence_then_messages_are_no_longer_combined() -> None:
    correlator = Correlator()
    for number in range(11):
        happen(correlator, f"sandbox {number}", number)
    later = happen(correlator, "sandbox later", 10 + 601)
    assert later is not None
    assert later.message == "sandbox later"


def test_given_more_than_a_burst_of_25_then_one_event_in_five_minutes_passes() -> None:
    correlator = Correlator()
    assert all(happen(correlator, "x", 0) for _ in range(25))
    assert happen(correlator, "x", 0) is None
    assert happen(correlator, "x", 299) is None
    passed = happen(correlator, "x", 301)
    assert passed is not None
    assert passed.count == 28


def test_given_events_of_another_pod_then_they_are_neither_combined_nor_limited_with_the_first() -> None:
    correlator = Correlator()
    for number in range(30):
        happen(correlator, f"sandbox {number}", 0)
    other = happen(correlator, "sandbox x", 0, {**POD, "name": "nginx-2", "uid": "u2"})
    assert other is not None
    assert (other.message, other.count) == ("sandbox x", 1)


def test_given_an_event_that_expired_on_the_server_then_the_next_repeat_is_a_new_one() -> None:
    correlator = Correlator()
    happen(correlator, "no address", 0)
    correlator.lost((*map(str, ("Pod", "default", "nginx-1", "u1")), "Warning", "FailedCreatePodSandBox", "no address"))
    again = happen(correlator, "no address", 1)
    assert again is not None
    assert (again.count, again.name) == (1, None)
