"""Every snapshot of the corpus gets the diagnosis that an expert expects of it."""

from __future__ import annotations

from collections import Counter

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import CURABLE, diagnose
from tests.unit.support.corpus import CASES, FOLDER, Case

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_the_verdict_is_the_experts(case: Case) -> None:
    found = diagnose(case.snapshot, case.signals)
    assert found.verdict == case.verdict == case.path.parent.name, found.summary
    assert {zone.zone: zone.verdict for zone in found.zones} == case.zones


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_nodes_and_evidence_are_named(case: Case) -> None:
    found = diagnose(case.snapshot, case.signals)
    judged = {node.name: node.relieved_now for node in found.nodes}
    assert case.relieved_now.items() <= judged.items()
    assert all(node.reason for node in found.nodes)
    reasons = [node.reason for node in found.nodes]
    told = "\n".join([found.summary, *found.evidence, *found.unknown, *found.alternatives, *reasons])
    assert [words for words in case.evidence if words not in told] == []


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_one_sentence_says_what_to_do_next(case: Case) -> None:
    found = diagnose(case.snapshot, case.signals)
    assert "\n" not in found.summary
    assert len(found.summary) < 600
    assert ("; next: " in found.summary) == (found.verdict is not Verdict.RECOVERED)
    assert found.evidence
    assert found.curable == (found.verdict in CURABLE)


def test_given_the_corpus_then_every_verdict_has_at_least_five_snapshots() -> None:
    counts = Counter(case.verdict for case in CASES)
    assert counts.keys() == {verdict.value for verdict in Verdict}
    assert min(counts.values()) >= 5
    assert len(list(FOLDER.glob("*/*.json"))) == 2 * len(CASES), "a snapshot without its expectation, or the reverse"


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("cni_fault", ("iam-", "throttled-", "down-")),
        ("unsupported", ("ipv6", "fargate-", "other-cni", "auto-mode", "shared-vpc", "windows-", "hybrid-")),
    ],
)
def test_given_a_verdict_of_several_kinds_then_the_corpus_has_each(folder: str, kinds: tuple[str, ...]) -> None:
    names = [case.path.stem for case in CASES if case.verdict == folder]
    assert [kind for kind in kinds if not any(name.startswith(kind) for name in names)] == []
