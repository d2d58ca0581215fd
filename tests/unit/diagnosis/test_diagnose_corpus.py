"""Every snapshot of the corpus gets the diagnosis that an expert expects of it."""

from __future__ import annotations

from collections import Counter

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import CURABLE
from tests.unit.support.corpus import CASES, FOLDER, Case

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_the_verdict_is_the_experts(case: Case) -> None:
    result = diagnose(case.snapshot, case.signals)
    assert result.verdict == case.verdict == case.path.parent.name, result.summary
    assert {zone.zone: zone.verdict for zone in result.zones} == case.zones


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_nodes_and_evidence_are_named(case: Case) -> None:
    result = diagnose(case.snapshot, case.signals)
    judged = {node.name: node.relieved_now for node in result.nodes}
    assert case.relieved_now.items() <= judged.items()
    assert all(node.reason for node in result.nodes)
    reasons = [node.reason for node in result.nodes]
    text = "\n".join([result.summary, *result.evidence, *result.unknown, *result.alternatives, *reasons])
    assert [words for words in case.evidence if words not in text] == []


@each_case
def test_given_a_snapshot_of_the_corpus_when_diagnosed_then_one_sentence_says_what_to_do_next(case: Case) -> None:
    result = diagnose(case.snapshot, case.signals)
    assert "\n" not in result.summary
    assert len(result.summary) < 600
    assert ("; next: " in result.summary) == (result.verdict is not Verdict.RECOVERED)
    assert result.evidence
    assert result.curable == (result.verdict in CURABLE)


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
