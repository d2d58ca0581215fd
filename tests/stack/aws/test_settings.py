"""The settings that a test may change while the local AWS runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local.aws.client import LocalAws


def test_given_a_changed_setting_when_reset_then_it_has_its_default_again(aws: LocalAws):
    before = aws.control("GET", "/_local/settings")[1]
    with aws.settings(execution_events=100):
        assert aws.control("GET", "/_local/settings")[1] == {**before, "execution_events": 100}
    assert aws.control("GET", "/_local/settings")[1] == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"executionEvents": 3}, "executionEvents is not a setting; the settings are execution_events"),
        ({"execution_events": "many"}, "execution_events must be a int, such as its default 25000"),
        ({"execution_events": True}, "execution_events must be a int"),
        ({"execution_timeout_seconds": -1}, "execution_timeout_seconds must not be negative"),
        ([], "settings are a JSON object"),
    ],
)
def test_given_a_wrong_setting_when_sent_then_the_answer_names_it_and_nothing_changes(
    aws: LocalAws, values, message: str
):
    before = aws.control("GET", "/_local/settings")[1]
    status, answer = aws.control("PUT", "/_local/settings", values)
    assert status == 400
    assert message in answer["error"]
    assert aws.control("GET", "/_local/settings")[1] == before
