"""What the Details button shows, and the reminder in the thread."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.views import View

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.message import Message, details, details_view
from ip_remediator.notifications.messages.yaml_text import as_yaml
from ip_remediator.planning.model import Change, Option
from tests.unit.support.records import PLAN, asked, incident


def shown(message: Message | None) -> str:
    assert message is not None
    return "\n".join(block["text"]["text"] for block in message.blocks if block["type"] == "section")


def read(view: dict[str, Any]) -> str:
    """Every text of a modal that Slack accepts."""
    View(**view).validate_json()
    assert len(view["blocks"]) <= 100
    assert len(json.dumps(view)) <= 250_000
    texts = [block["text"]["text"] for block in view["blocks"] if block["type"] == "section"]
    assert all(0 < len(text) <= 3000 for text in texts)
    small = [element["text"] for block in view["blocks"] if block["type"] == "context" for element in block["elements"]]
    return "\n".join([*texts, *small])


def with_changes(*changes: Change) -> Incident:
    return asked().model_copy(update={"plan": PLAN.model_copy(update={"changes": changes})})


def test_the_modal_has_every_change_and_every_manifest_in_full():
    text = read(details_view(asked()))

    for number, change in enumerate(PLAN.changes, 1):
        assert f"{number}. {change.description}" in text
        if change.manifest:
            assert as_yaml(change.manifest) in text
    assert ":red_circle: *High:* EXTERNALSNAT=true" in text
    assert "subnet subnet-0aa (10.0.0.0/28, ap-northeast-2a) has 0 free addresses" in text


def test_the_modal_has_every_option_and_every_risk():
    options = tuple(Option(option=f"option-{number}", taken=False, reason="r" * 200) for number in range(30))
    risks = tuple(PLAN.risks[0].model_copy(update={"found": f"risk number {number}"}) for number in range(20))
    record = asked().model_copy(update={"plan": PLAN.model_copy(update={"options": options, "risks": risks})})

    text = read(details_view(record))

    assert all(f"`option-{number}`" in text for number in range(30))
    assert all(f"risk number {number}." in text for number in range(20))


def test_the_modal_has_two_hundred_changes_with_their_manifests():
    change = next(change for change in PLAN.changes if change.manifest)
    many = [
        change.model_copy(update={"description": f"change number {number}", "manifest": {"spec": {"number": number}}})
        for number in range(200)
    ]

    text = read(details_view(with_changes(*many)))

    for number in range(200):
        assert f"{number + 1}. change number {number}\n" in text + "\n"
        assert f"number: {number}\n" in text + "\n" or f"number: {number}```" in text


def test_a_manifest_longer_than_a_section_goes_on_in_the_next_one():
    change = PLAN.changes[-1].model_copy(update={"manifest": {"zones": [f"zone-{number:04}" for number in range(900)]}})

    text = read(details_view(with_changes(change)))

    assert all(f"- zone-{number:04}" in text for number in range(900))
    assert text.count("```") % 2 == 0


def test_what_not_even_a_modal_holds_is_counted():
    change = PLAN.changes[-1].model_copy(update={"manifest": {"zones": ["z" * 100] * 900}})

    text = read(details_view(with_changes(*[change] * 9)))

    assert "more paragraphs do not fit here: ip-remediator status has them" in text


@given(st.text(max_size=4000))
def test_a_manifest_of_any_text_makes_a_modal_that_slack_accepts(foreign: str):
    change = PLAN.changes[-1].model_copy(update={"description": foreign, "manifest": {foreign[:50]: [foreign]}})

    text = read(details_view(with_changes(change)))

    assert "<" not in text
    assert text.count("```") % 2 == 0


def test_before_there_is_a_plan_the_modal_says_so():
    assert read(details_view(incident())) == "prod: there is no plan yet."


def test_before_there_is_a_plan_there_are_no_details():
    assert details(incident()) is None


def test_the_details_have_every_change_manifest_risk_and_fact():
    text = shown(details(asked()))

    for number, change in enumerate(PLAN.changes, 1):
        assert f"{number}. {change.description}" in text
    assert 'AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG: "true"' in text
    assert ":red_circle: *High:* EXTERNALSNAT=true" in text
    assert "subnet subnet-0aa (10.0.0.0/28, ap-northeast-2a) has 0 free addresses" in text
    assert "`ip-10-0-0-4`: 1 of 3 ENIs attached" in text


def test_the_details_are_of_the_plan_only_so_that_they_are_posted_once():
    record = asked()

    assert details(record) == details(record.model_copy(update={"approval": None, "steps": {}}))


def test_a_manifest_cannot_leave_its_code_block():
    manifest = {"spec": "```<!channel>"}
    change = PLAN.changes[-1].model_copy(update={"manifest": manifest})
    record = asked().model_copy(update={"plan": PLAN.model_copy(update={"changes": (change,)})})

    text = shown(details(record))

    assert text.count("```") == 2
    assert "'''&lt;!channel&gt;" in text


@pytest.mark.parametrize(
    ("before", "shown_as"),
    [(None, "not read"), ({}, "not set"), ({"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false"}, "`false`")],
    ids=["not read", "not set", "set"],
)
def test_variables_are_shown_as_they_are_and_will_be(before: dict[str, str] | None, shown_as: str):
    text = read(details_view(asked(), before=before))

    assert f"`AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG`: {shown_as} → `true`" in text


def test_a_line_is_drawn_between_changes_reasons_and_manifests():
    kinds = [block["type"] for block in details_view(asked())["blocks"]]

    assert kinds.count("divider") >= 3
    assert kinds[0] == kinds[-1] == "section"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_yaml_says_what_the_document_says(document: object):
    assert yaml.safe_load(as_yaml(document)) == document


def test_advice_that_would_not_help_the_cluster_is_left_out():
    advice = (
        Option(option="max-pods", taken=False, reason="set max-pods of new nodes to 12", advice=True),
        Option(option="reserved-enis", taken=False, reason="the cluster does not use Karpenter", advice=False),
        Option(option="new-cidr", taken=True, reason="it costs nothing"),
        Option(option="ipam-pool", taken=False, reason="no IPAM pool is configured"),
    )
    text = read(details_view(asked().model_copy(update={"plan": PLAN.model_copy(update={"options": advice})})))
    assert "advice: `max-pods`, set max-pods" in text
    assert "taken: `new-cidr`, it costs nothing" in text
    assert "passed over: `ipam-pool`" in text
    assert "Karpenter" not in text


def test_a_plan_for_new_nodes_says_nothing_of_the_next_eni_of_the_old_ones():
    pods, nodes = asked(), asked().model_copy(update={"plan": PLAN.model_copy(update={"strategy": "node-group"})})
    assert pods.diagnosis
    assert pods.diagnosis.nodes
    assert "*Nodes*" in read(details_view(pods))
    assert "*Nodes*" not in read(details_view(nodes))
