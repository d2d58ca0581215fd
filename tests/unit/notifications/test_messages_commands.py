"""Messages of a stack without an endpoint: what a click would do is a command, and no button is dead."""

from __future__ import annotations

import pytest

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.buttons import buttons
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.message import render
from tests.unit.support import records

NO_CLICKS = Site(clickable=False)


def shown(incident: Incident) -> str:
    return str(render(incident, NO_CLICKS).blocks)


@pytest.mark.parametrize("incident", [records.incident(), records.asked(), records.healed(), records.undone()])
def test_given_no_endpoint_then_no_message_has_a_button(incident: Incident) -> None:
    assert [block for block in render(incident, NO_CLICKS).blocks if block["type"] == "actions"] == []


def test_given_no_endpoint_when_a_plan_waits_then_both_answers_are_commands() -> None:
    incident = records.asked()
    assert f"ip-remediator approve {incident.id}" in shown(incident)
    assert f"ip-remediator reject {incident.id}" in shown(incident)


def test_given_no_endpoint_when_healed_then_the_way_back_is_a_command() -> None:
    incident = records.healed()
    assert buttons(incident)
    assert f"ip-remediator rollback {incident.id}" in shown(incident)


def test_given_an_endpoint_then_there_are_buttons_and_no_such_commands() -> None:
    incident = records.asked()
    blocks = render(incident, Site()).blocks
    assert [block for block in blocks if block["type"] == "actions"]
    assert "ip-remediator approve" not in str(blocks)
