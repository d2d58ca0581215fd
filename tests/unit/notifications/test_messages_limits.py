"""Whatever a record holds, Slack accepts the message and nothing foreign takes effect in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from slack_sdk.models.blocks import Block

from ip_remediator.common.actor import Actor
from ip_remediator.incidents.record import ApprovalState, Incident, Step
from ip_remediator.notifications.messages.message import Message, details, plain, render, subject
from ip_remediator.notifications.messages.text import mrkdwn, words
from tests.unit.notifications.test_messages import REFERENCE
from tests.unit.support.records import PLAN, approval, asked, healed, incident, steps

HOSTILE = (
    "<!channel> <@U0000ONCALL> <https://evil.example|here> *bold* _it_ ~gone~ `code` ```pre``` &amp; :x:\n> quote\u202e"
)
LONG = {
    "hostile": HOSTILE * 40,
    "escaped": "&" * 5000,
    "backticks": "`" * 999,
    "accents": "é" * 3000,
    "emoji": ":x:" * 300,
}
FOREIGN = st.one_of(st.sampled_from(sorted(LONG)).map(LONG.__getitem__), st.just(HOSTILE), st.text(max_size=40))
OUR_ID = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@st.composite
def records(draw: st.DrawFn) -> Incident:
    """Any incident that pydantic accepts. Ids of incidents and approvals are ours and keep to their form."""
    record = _document(draw, Incident)
    approval = record.approval and record.approval.model_copy(update={"id": draw(OUR_ID)})
    return record.model_copy(update={"id": draw(OUR_ID), "approval": approval})


def _document(draw: st.DrawFn, model: type[BaseModel]) -> Any:
    types = get_type_hints(model)
    values = {name: _value(draw, types[name]) for name in model.model_fields}
    # Numbers of things are not negative where the model says so.
    return model(**{name: abs(value) if type(value) is int else value for name, value in values.items()})


def _value(draw: st.DrawFn, annotation: Any) -> Any:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return draw(st.sampled_from(arguments))
    if get_origin(annotation) is tuple:
        number = draw(st.sampled_from([0, 1, 2, 3, 60]))
        different = [_value(draw, arguments[0]) for _ in range(min(number, 2))]
        return tuple(different[index % 2] for index in range(number)) if number > 1 else tuple(different)
    if get_origin(annotation) is dict:
        return {draw(_simple(arguments[0])): _value(draw, arguments[1]) for _ in range(draw(st.integers(0, 8)))}
    if type(None) in arguments:
        return _value(draw, arguments[0]) if draw(st.booleans()) else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _document(draw, annotation)
    return draw(_simple(annotation))


def _simple(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation is str:
        return FOREIGN
    if annotation is Any:
        return st.none()
    if annotation is datetime:
        return st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    return st.from_type(annotation)


def all_texts(node: Any) -> list[dict[str, Any]]:
    """Every text object within blocks."""
    if isinstance(node, list):
        return [result for item in node for result in all_texts(item)]
    if not isinstance(node, dict):
        return []
    here = [node] if node.get("type") in ("mrkdwn", "plain_text") else []
    return here + [result for value in node.values() for result in all_texts(value)]


def assert_slack_accepts(record: Incident) -> None:
    assert_slack_accepts_message(render(record))
    more = details(record)
    if more:
        assert_slack_accepts_message(more)


def assert_slack_accepts_message(message: Message) -> None:
    assert len(message.blocks) <= 50
    assert sum(len(one["text"]) for one in all_texts(message.blocks)) <= 12_000
    assert len(message.text) <= 4000
    assert all(one["text"].strip() for one in all_texts(message.blocks))
    for block in message.blocks:
        parsed = Block.parse(block)
        assert parsed is not None, block
        parsed.validate_json()
    sections = [block["text"]["text"] for block in message.blocks if block["type"] == "section" and "text" in block]
    assert all(len(text) <= 3000 for text in sections)


@settings(suppress_health_check=list(HealthCheck))
@given(records())
def test_any_record_gives_a_message_that_slack_accepts(record: Incident):
    assert_slack_accepts(record)
    assert plain(record)
    assert 0 < len(subject(record)) < 100


@settings(suppress_health_check=list(HealthCheck))
@given(records())
def test_nothing_foreign_becomes_a_mention_or_a_link(record: Incident):
    for message in filter(None, [render(record), details(record)]):
        mrkdwn_texts = [one["text"] for one in all_texts(message.blocks) if one["type"] == "mrkdwn"]
        for text in [REFERENCE.sub("", text) for text in (message.text, *mrkdwn_texts)]:
            assert "<" not in text
            assert ">" not in text
            assert re.sub("&(amp|lt|gt);", "", text).count("&") == 0


@pytest.mark.parametrize("id_", ["!channel", "U1|x> <!here", "<@U0000ONCALL>"])
def test_what_is_no_id_of_a_slack_user_calls_nobody(id_: str):
    record = asked().model_copy(update={"approval": approval(ApprovalState.APPROVED, decided_by=Actor.slack(id_))})

    assert not re.search(r"<[@!](?!date)", render(record).text + str(render(record).blocks))


@given(FOREIGN | st.text("*_~`<>&: ab", max_size=30))
def test_foreign_prose_cannot_format_text(foreign: str):
    written = mrkdwn(words(foreign))

    assert not re.search(r"(?<![^\W_])[*_~]\S|\S[*_~](?![^\W_])", written)
    assert "`" not in written
    assert "\n" not in written
    assert not re.search(r":[a-zA-Z0-9_+'-]+:", written)


def test_names_that_must_be_copied_stay_as_they_are():
    setting = "set AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true ENI_CONFIG_LABEL_DEF=topology.kubernetes.io/zone"

    assert mrkdwn(words(setting)) == setting


def test_a_cluster_of_5000_nodes_is_counted_not_listed():
    pods = tuple(f"default/web-{number:05d}" for number in range(5000))
    subnets = PLAN.subnets * 100
    record = asked().model_copy(
        update={
            "signals": incident().signals.model_copy(update={"pods": pods}),
            "plan": PLAN.model_copy(update={"subnets": subnets, "changes": PLAN.changes * 500}),
        }
    )

    assert_slack_accepts(record)
    unread = record.model_copy(update={"diagnosis": None})
    shown = "\n".join(text["text"] for text in all_texts(render(record).blocks + render(unread).blocks))
    assert "5,000 pods" in shown or "and 4998 more" in shown
    assert "and 194 more" in plain(record)
    more = details(record)
    assert more is not None
    assert "and 1985 more" in str(more.blocks)
    assert "more do not fit here" in str(more.blocks)


def test_a_step_note_of_any_length_leaves_the_other_steps_readable():
    record = healed()
    noted = {step: result.model_copy(update={"note": "n" * 5000}) for step, result in steps(*Step).items()}

    assert_slack_accepts(record.model_copy(update={"steps": noted}))


def test_no_token_manifest_or_credential_has_a_place_in_a_message():
    shown = str(render(asked())) + plain(asked())

    assert "manifest" not in shown
    assert "topology.kubernetes.io" not in shown
