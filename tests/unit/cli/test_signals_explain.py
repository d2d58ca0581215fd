"""`ip-remediator signals --explain`: which rule decided, and what would make a record count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ip_remediator.signals.model import DropReason
from ip_remediator_cli.explain_signals import _DROPS, anonymised
from tests.unit.cli.conftest import Run

DATA = Path(__file__).parents[2] / "data" / "signals"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("event_sandbox", "opens an incident with a second piece of evidence"),
        ("event_node_monitoring_agent", "opens an incident alone"),
        ("event_unrelated", "dropped (unrelated_reason)"),
        ("event_without_cluster", "give --cluster"),
        ("alarm_of_other_service", "eks-ip-remediator:cluster=CLUSTER"),
        ("alarm_back_to_ok", "counts when it goes off"),
        ("logs_dataplane_aws_node", "InsufficientFreeAddressesInSubnet"),
    ],
)
def test_given_a_record_when_explained_then_the_rule_and_the_remedy_follow_its_line(
    run: Run, name: str, words: str
) -> None:
    # when
    printed = run("signals", str(DATA / f"{name}.json"), "--explain").out.splitlines()
    # then
    assert json.loads(printed[0])
    assert words in "\n".join(printed[1:])


def test_given_an_unknown_wording_when_explained_then_an_issue_text_is_ready(run: Run) -> None:
    printed = run("signals", str(DATA / "event_sandbox_other_cause.json"), "--explain").out
    assert "Title: Unknown wording" in printed
    assert 'no runtime for "gvisor" is configured' in printed


def test_every_drop_reason_is_explained() -> None:
    assert set(_DROPS) == set(DropReason)


def test_an_issue_text_names_no_account_node_pod_or_address() -> None:
    private = (
        "arn:aws:iam::111122223333:role/shop i-0a1b2c3d4e5f60718 subnet-0783288fba3453a60 10.1.2.3 "
        'ip-10-1-2-3.eu-west-1.compute.internal pod="billing/api-6f7d" 9f680a94-22ee-4f6f-a9b1-75af0629ca7e '
        "https://example.com/x me@example.com 111122223333"
    )
    text = anonymised(private)
    for part in ("1111", "0a1b", "0783", "10.1", "10-1", "billing", "9f68", "example", "shop"):
        assert part not in text
