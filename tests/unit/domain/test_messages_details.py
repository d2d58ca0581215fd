"""What the thread under the message holds."""

from __future__ import annotations

from ip_remediator.domain.messages import Message, details
from tests.unit.domain.records import PLAN, asked, incident


def shown(message: Message | None) -> str:
    assert message is not None
    return "\n".join(block["text"]["text"] for block in message.blocks if block["type"] == "section")


def test_before_there_is_a_plan_there_are_no_details():
    assert details(incident()) is None


def test_the_details_have_every_change_manifest_risk_and_fact():
    text = shown(details(asked()))

    for number, change in enumerate(PLAN.changes, 1):
        assert f"{number}. {change.description}" in text
    assert '"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"' in text
    assert ":red_circle: EXTERNALSNAT=true" in text
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
