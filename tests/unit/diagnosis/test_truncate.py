"""What of a diagnosis is stored."""

from __future__ import annotations

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.truncate import truncate
from tests.unit.support.facts import Part, node, pods, snapshot, zone

# DynamoDB's limit for an item, of which the plan and all else need their share.
HALF_AN_ITEM = 200_000


def test_given_a_small_cluster_then_all_is_kept() -> None:
    facts = snapshot(zone("a", free=0, stuck=1, nodes=50), zone("b", free=None, nodes=50, max_enis=None))
    result = diagnose(facts)
    assert truncate(result, facts) == result


def test_given_thousands_of_nodes_then_those_with_stuck_pods_are_kept_and_the_rest_is_counted() -> None:
    # given 1,500 nodes, the last ones with stuck pods
    crowd = zone("a", free=0, nodes=1500, enis=(6, 6, 6))
    late = node("a", 1500)
    waiting = Part(nodes=(late,), pods=(*pods(1, late.name), *pods(1, "node-a1499")))
    facts = snapshot(crowd, waiting)
    result = diagnose(facts)

    # when
    stored = truncate(result, facts)

    # then
    assert [one.name for one in stored.nodes[:2]] == ["node-a1499", late.name]
    assert len(stored.nodes) == 300
    assert stored.evidence == (*result.evidence, "1,201 more nodes, of which 0 would be relieved at once")
    assert (stored.verdict, stored.summary, stored.zones) == (result.verdict, result.summary, result.zones)
    assert len(stored.model_dump_json()) < HALF_AN_ITEM < len(result.model_dump_json())


def test_given_more_facts_than_anybody_reads_then_the_rest_is_counted() -> None:
    facts = snapshot(zone("a", free=0, stuck=1))
    result = diagnose(facts).model_copy(update={"evidence": tuple(f"fact {number}" for number in range(142))})
    assert truncate(result, facts).evidence == (*result.evidence[:100], "and 42 more facts")
