"""What the benchmark of storms counts as what: the sizes that DynamoDB bills, and the bill."""

from __future__ import annotations

import pytest

from benchmarks.cost import total
from benchmarks.metered_table import Meter, size_of
from benchmarks.storm import Storm, many_clusters, markdown, one_cluster

KEY = {"pk": "INCIDENT#a", "sk": "META"}


@pytest.mark.parametrize(
    ("value", "size"),
    [("abc", 3), ("\u00e9", 2), (12, 2), (b"1234", 4), ({"ab": "c"}, 3), (["a", "b"], 7), ({"name": {"x"}}, 9)],
)
def test_an_item_is_as_large_as_its_names_and_values(value: object, size: int) -> None:
    assert size_of(value) == size


def test_reads_are_billed_by_four_kilobytes_and_writes_by_one_and_transactions_twice() -> None:
    meter = Meter()
    meter.reads(None)
    meter.reads({**KEY, "body": "x" * 4100})
    assert meter.read_units == 1 + 2
    meter.writes("PutItem", {**KEY, "body": "x" * 1100})
    meter.writes("TransactWriteItems", {**KEY, "body": "x" * 10}, {"pk": "CLUSTER#a", "sk": "OPEN", "body": "x"})
    assert meter.write_units == 2 + 2 * (1 + 1)


def test_a_refused_write_is_billed_by_the_item_that_refused_it() -> None:
    meter = Meter()
    meter.reads({**KEY, "body": "x" * 3000})
    meter.writes("UpdateItem", KEY, refused=True)
    assert (meter.write_units, meter.refused) == (3, 1)


def test_the_bill_is_for_a_million_events() -> None:
    meter = Meter()
    meter.write_units, meter.read_units = 10, 20
    storm = Storm(1000, 1, 10, 1, 0, meter, cpu_seconds=0.0, log_bytes=0)
    bill = {line.item: line.amount for line in storm.bill()}
    assert bill["EventBridge, custom events"] == 1_000_000
    assert bill["Lambda requests"] == 10_000
    assert bill["DynamoDB writes, on demand"] == 10_000
    assert f"| {total(storm.bill()):.2f} |" in markdown([storm])


def test_storms_have_the_events_that_their_names_say() -> None:
    assert len({event["detail"]["involvedObject"]["name"] for event in one_cluster(90, "a")}) == 10
    many = many_clusters(20, "a")
    assert len({event["detail"]["clusterName"] for event in many}) == 20
    assert len({event["id"] for event in many}) == len(many) == 40
