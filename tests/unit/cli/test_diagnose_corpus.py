"""The whole corpus through the command line: exit statuses, documents, and `plan` in agreement with `diagnose`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan, digest
from tests.unit.cli.conftest import Run, one_error_line
from tests.unit.support.corpus import CASES, Case

DIAGNOSIS_FIELDS = {"verdict", "zones", "groups", "nodes", "evidence", "summary", "unknown", "alternatives"}
STATUS_OF = {"subnet_exhausted": 0, "prefix_fragmented": 0, "eniconfig_missing": 0, "recovered": 3}
EVENTS = Path(__file__).parents[2] / "data" / "signals"

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def causes_of(case: Case) -> list[str]:
    return [option for cause in case.signals for option in ("--cause", cause.value)]


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_status_and_document_are_as_promised(
    run: Run, case: Case
) -> None:
    ran = run("diagnose", "--snapshot", str(case.path), "--json", *causes_of(case))
    assert ran.status == STATUS_OF.get(case.verdict, 4)
    assert ran.json.keys() == DIAGNOSIS_FIELDS
    assert all(zone.keys() >= {"zone", "verdict", "free", "nodes", "stuck_pods"} for zone in ran.json["zones"])
    assert all(node.keys() >= {"name", "relieved_now", "reason"} for node in ran.json["nodes"])
    assert ran.json == diagnose(case.snapshot, case.signals).model_dump(mode="json")


@each_case
def test_given_a_snapshot_of_the_corpus_when_planned_then_it_agrees_with_the_diagnosis(run: Run, case: Case) -> None:
    ran = run("plan", "--snapshot", str(case.path), "--json", *causes_of(case))
    assert ran.status == case.plan_exit, ran.json["expectation"]
    assert (ran.json["curable"], ran.json["verdict"]) == (ran.status == 0, case.verdict)
    if ran.status == 0:
        plan = Plan.model_validate(ran.json)
        assert plan.hash == digest(plan)
        in_need = {zone for zone, verdict in case.zones.items() if verdict in STATUS_OF and verdict != "recovered"}
        assert in_need <= {subnet.zone for subnet in plan.subnets}
    elif ran.status == 4:
        assert ran.json["alternatives"]


@each_case
def test_given_a_snapshot_of_the_corpus_when_shown_to_people_then_every_zone_and_fact_is_there(
    run: Run, case: Case
) -> None:
    document = run("diagnose", "--snapshot", str(case.path), "--json", *causes_of(case)).json
    shown = run("diagnose", "--snapshot", str(case.path), *causes_of(case)).out
    assert document["verdict"] in shown
    for text in [*case.zones, *document["unknown"]]:
        assert text in shown


def write(folder: Path, name: str, document: Any) -> str:
    file = folder / name
    file.write_text(json.dumps(document))
    return str(file)


def event_of(cluster: str, message: str) -> dict[str, Any]:
    """A Kubernetes Event as `kubectl get events -o json` lists it, with the cluster's name."""
    event: dict[str, Any] = json.loads((EVENTS / "event_sandbox.json").read_text())["detail"]
    return {**event, "clusterName": cluster, "message": message}


REFUSED = (
    "Unauthorized operation: failed to call ec2:CreateNetworkInterface due to missing permissions. (aws-cni: failed "
    "to assign an IP address to container)"
)
HUNGRY = {"cluster": {"name": "shop"}, "stuck_pods": [{"namespace": "default", "name": "web-1"}]}


@pytest.mark.parametrize("cluster", ["shop", ""])
def test_given_a_file_of_events_when_diagnosed_then_what_they_prove_counts(
    run: Run, tmp_path: Path, cluster: str
) -> None:
    signals = write(tmp_path, "events.json", {"kind": "List", "items": [event_of(cluster, REFUSED)]})
    ran = run("diagnose", "--snapshot", "-", "--signals", signals, "--json", stdin=HUNGRY)
    assert (ran.status, ran.json["verdict"]) == (4, "cni_fault")
    assert any("cni_iam" in fact for fact in ran.json["evidence"])
    assert run("plan", "--snapshot", "-", "--signals", signals, "--json", stdin=HUNGRY).json["verdict"] == "cni_fault"


def test_given_events_of_two_clusters_when_diagnosed_then_only_the_clusters_own_count(run: Run, tmp_path: Path) -> None:
    general = "aws-cni: failed to assign an IP address to container"
    signals = write(tmp_path, "events.json", [event_of("other", REFUSED), event_of("shop", general)])
    ran = run("diagnose", "--snapshot", "-", "--signals", signals, "--json", stdin=HUNGRY)
    assert not any("cni_iam" in fact for fact in ran.json["evidence"])
    assert any("no_address" in fact for fact in ran.json["evidence"])


def test_given_no_signal_of_the_cluster_when_diagnosed_then_one_line_says_so(run: Run, tmp_path: Path) -> None:
    signals = write(tmp_path, "events.json", event_of("other", REFUSED))
    ran = run("diagnose", "--snapshot", "-", "--signals", signals, stdin=HUNGRY)
    assert ran.status == 2
    assert "no record of it is a signal of cluster shop" in one_error_line(ran)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("absent.json", None, "--signals"),
        ("broken.json", "{", "--signals"),
        ("empty.json", " ", "--signals"),
    ],
)
def test_given_a_bad_file_of_signals_then_one_line_names_the_option_and_the_remedy(
    run: Run, tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    ran = run("diagnose", "--snapshot", "-", "--signals", str(file), stdin=HUNGRY)
    assert ran.status == 2
    line = one_error_line(ran)
    assert words in line
    assert "; " in line


def test_given_one_standard_input_for_two_files_then_one_line_says_so(run: Run) -> None:
    ran = run("diagnose", "--snapshot", "-", "--signals", "-", stdin=HUNGRY)
    assert ran.status == 2
    assert "--signals and --snapshot" in one_error_line(ran)
