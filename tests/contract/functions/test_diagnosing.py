"""What the deployed function stores of a diagnosis is what the command line prints for the same facts."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ip_remediator.common.enums import Mode
from ip_remediator.diagnosis.model import PODS_SERVED
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.remediation.diagnose import record_diagnosis
from ip_remediator.signals.correlation import SignalSummary
from ip_remediator_cli.main import main
from tests.unit.support.corpus import CASES
from tests.unit.support.facts import snapshot, zone

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NEEDED_BY_STATUS = {0: (True, True), 3: (False, False), 4: (False, True)}


@pytest.fixture(scope="module")
def printed() -> dict[str, tuple[int, object]]:
    """Status and document of `diagnose --json`, by case."""
    results = {}
    for case in CASES:
        options = [option for cause in case.signals for option in ("--cause", cause.value)]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = main(["diagnose", "--snapshot", str(case.path), "--json", *options])
        results[case.name] = (status, json.loads(out.getvalue()))
    return results


def test_given_the_corpus_when_the_function_diagnoses_then_it_stores_what_the_command_prints(
    table: Table, printed: dict[str, tuple[int, object]]
) -> None:
    incidents = Incidents(table, lambda: datetime(2026, 5, 11, 8, 6, tzinfo=UTC))
    for case in CASES:
        # given an incident of a cluster of its own, with what its signals proved
        opened = incidents.get(incidents.open(case.name.replace("/", "-"), "eu-west-1", Mode.APPROVE, ""))
        signals = SignalSummary(causes=tuple(cause.value for cause in case.signals))

        # when
        answer = record_diagnosis(opened.model_copy(update={"signals": signals}), case.snapshot, incidents)

        # then
        status, document = printed[case.name]
        stored = incidents.get(opened.id).diagnosis
        assert stored is not None
        assert stored.model_dump(mode="json") == document, case.name
        curable, needed = NEEDED_BY_STATUS[status]
        # Nothing is needed for pods that are all served, unless the incident is about nodes or the cluster itself.
        asked = stored.verdict not in PODS_SERVED or stored.verdict.value in signals.causes
        assert (answer["curable"], answer["needed"]) == (curable, needed and asked), case.name
        assert answer["verdict"] == stored.verdict
        assert snapshot_of(incidents, opened.id) == case.snapshot


def test_given_thousands_of_nodes_when_the_function_diagnoses_then_the_record_has_room_for_the_rest(
    table: Table,
) -> None:
    incidents = Incidents(table, lambda: datetime(2026, 5, 11, 8, 6, tzinfo=UTC))
    opened = incidents.get(incidents.open("crowd", "eu-west-1", Mode.APPROVE, ""))
    record_diagnosis(opened, snapshot(zone("a", free=0, stuck=9, nodes=5000)), incidents)
    stored = incidents.get(opened.id).diagnosis
    assert stored is not None
    assert stored.nodes[0].name == "node-a0"
    assert stored.evidence[-1] == "4,700 more nodes, of which 4,700 would be relieved at once"
    assert len(stored.model_dump_json()) < 100_000
