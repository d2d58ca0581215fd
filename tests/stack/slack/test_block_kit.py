"""What Block Kit allows: the limits are those of Slack's own models, and each of them is enforced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models import blocks as sdk
from slack_sdk.models import views as sdk_views

from local.slack import blockkit
from tests.stack.slack.harness import plain, section

Json = dict[str, Any]
CONFIRM = {"title": plain("t"), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")}


def button(**more: Any) -> Json:
    return {"type": "button", "text": plain("Go"), **more}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def view(**more: Any) -> Json:
    return {"type": "modal", "title": plain("Modal"), "blocks": [], **more}


def text_input(**more: Any) -> Json:
    return {"type": "input", "label": plain("Why?"), "element": {"type": "plain_text_input"}, **more}


@pytest.mark.parametrize(
    ("ours", "slacks"),
    [
        (blockkit.MAX_HEADER, sdk.HeaderBlock.text_max_length),
        (blockkit.MAX_SECTION_TEXT, sdk.SectionBlock.text_max_length),
        (blockkit.MAX_SECTION_FIELDS, sdk.SectionBlock.fields_max_length),
        (blockkit.MAX_CONTEXT_ELEMENTS, sdk.ContextBlock.elements_max_length),
        (blockkit.MAX_ACTIONS_ELEMENTS, sdk.ActionsBlock.elements_max_length),
        (blockkit.MAX_BUTTON_TEXT, sdk.ButtonElement.text_max_length),
        (blockkit.MAX_BUTTON_VALUE, sdk.ButtonElement.value_max_length),
        (blockkit.MAX_URL, sdk.ButtonElement.url_max_length),
        (blockkit.MAX_ID, sdk.ButtonElement.action_id_max_length),
        (blockkit.MAX_ID, sdk.Block.block_id_max_length),
        (blockkit.MAX_ALT_TEXT, sdk.ImageBlock.alt_text_max_length),
        (blockkit.MAX_IMAGE_TITLE, sdk.ImageBlock.title_max_length),
        (blockkit.MAX_CONFIRM_TITLE, sdk.ConfirmObject.title_max_length),
        (blockkit.MAX_CONFIRM_TEXT, sdk.ConfirmObject.text_max_length),
        (blockkit.MAX_CONFIRM_BUTTON, sdk.ConfirmObject.confirm_max_length),
        (blockkit.MAX_LABEL, sdk.InputBlock.label_max_length),
        (blockkit.MAX_OPTION_TEXT, sdk.Option.label_max_length),
        (blockkit.MAX_OPTION_VALUE, sdk.Option.value_max_length),
        (blockkit.MAX_OPTIONS_IN_SELECT, sdk.StaticSelectElement.options_max_length),
        (blockkit.MAX_PLACEHOLDER, sdk.StaticSelectElement.placeholder_max_length),
        (blockkit.MAX_VIEW_TITLE, sdk_views.View.title_max_length),
        (blockkit.MAX_BLOCKS_IN_VIEW, sdk_views.View.blocks_max_length),
        (blockkit.MAX_PRIVATE_METADATA, sdk_views.View.private_metadata_max_length),
    ],
)
def test_a_limit_is_the_one_that_slacks_client_knows(ours: int, slacks: int) -> None:
    assert ours == slacks


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ([{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        ([{"type": "header", "text": plain("x" * 151)}], "less than 151 characters [json-pointer:/blocks/0/text]"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "/blocks/0/text/type]"),
        ([section("x" * 3001)], "less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        ([section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ([{"type": "section"}], "must define either `text` or `fields` [json-pointer:/blocks/0]"),
        ([{"type": "section", "fields": [plain("x")] * 11}], "no more than 10 items"),
        ([{"type": "section", "fields": [plain("x" * 2001)]}], "less than 2001 characters"),
        ([{"type": "context", "elements": [plain("x")] * 11}], "no more than 10 items"),
        ([{"type": "context", "elements": []}], "no fewer than 1 items"),
        ([actions(*[button()] * 26)], "no more than 25 items"),
        ([actions(button(text=plain("x" * 76)))], "less than 76 characters"),
        ([actions(button(text={"type": "mrkdwn", "text": "x"}))], "/blocks/0/elements/0/text/type]"),
        ([actions(button(value="x" * 2001))], "less than 2001 characters"),
        ([actions(button(action_id="x" * 256))], "less than 256 characters"),
        ([actions(button(style="green"))], "/blocks/0/elements/0/style]"),
        ([actions(button(url="javascript:alert(1)"))], "/blocks/0/elements/0/url]"),
        ([actions(button(colour="red"))], "invalid additional property: colour"),
        ([actions({"type": "button"})], "missing required field: text"),
        ([actions({**button(), "type": "slider"})], "/blocks/0/elements/0/type]"),
        ([{"type": "table"}], "unsupported type: table"),
        ([actions(button(confirm={**CONFIRM, "title": plain("x" * 101)}))], "less than 101 characters"),
        ([actions(button(confirm={**CONFIRM, "text": plain("x" * 301)}))], "less than 301 characters"),
        ([actions(button(confirm={**CONFIRM, "confirm": plain("x" * 31)}))], "less than 31 characters"),
        ([actions(button(confirm={**CONFIRM, "deny": plain("x" * 31)}))], "less than 31 characters"),
        ([{"type": "divider", "block_id": "a"}] * 2, '`block_id` "a" already exists'),
        ([actions(button(action_id="a"), button(action_id="a"))], '`action_id` "a" already exists'),
        ([text_input()], "unsupported type: input"),
    ],
)
def test_blocks_beyond_a_limit_are_refused_with_the_place(blocks: list[Json], complaint: str) -> None:
    errors = blockkit.message_errors(blocks)

    assert len(errors) == 1
    assert errors[0].startswith("[ERROR] ")
    assert complaint in errors[0]


@pytest.mark.parametrize(
    ("modal", "complaint"),
    [
        (view(title=plain("x" * 25)), "less than 25 characters [json-pointer:/view/title]"),
        (view(blocks=[{"type": "divider"}] * 101), "no more than 100 items allowed [json-pointer:/view/blocks]"),
        (view(blocks=[text_input()]), "missing required field: submit [json-pointer:/view]"),
        (view(private_metadata="x" * 3001), "less than 3001 characters"),
        ({"type": "modal", "title": plain("x")}, "missing required field: blocks [json-pointer:/view]"),
        ("a modal", "[json-pointer:/view]"),
    ],
)
def test_a_modal_beyond_a_limit_is_refused_with_the_place(modal: Any, complaint: str) -> None:
    errors = blockkit.view_errors(modal)

    assert len(errors) == 1
    assert complaint in errors[0]


def test_the_largest_allowed_message_is_accepted() -> None:
    confirm = {"title": plain("x" * 100), "text": plain("x" * 300), "confirm": plain("x" * 30), "deny": plain("x" * 30)}
    fullest = button(
        text=plain("x" * 75), value="x" * 2000, action_id="x" * 255, url="https://example.com/", confirm=confirm
    )
    blocks = [
        {"type": "header", "text": plain("x" * 150)},
        section("x" * 3000),
        {"type": "section", "fields": [plain("x" * 2000)] * 10, "accessory": fullest},
        {"type": "context", "elements": [plain("x")] * 10},
        actions(fullest, *[button()] * 24),
        *[{"type": "divider"}] * 45,
    ]

    assert blockkit.message_errors(blocks) == []


_TEXTS = st.text(min_size=1, max_size=40)
_BLOCKS = st.lists(
    st.one_of(
        st.just({"type": "divider"}),
        _TEXTS.map(section),
        _TEXTS.map(lambda text: {"type": "header", "text": plain(text)}),
        st.lists(_TEXTS, min_size=1, max_size=5).map(lambda all_: actions(*[button(text=plain(t)) for t in all_])),
    ),
    max_size=8,
)


@given(_BLOCKS)
def test_giving_ids_keeps_blocks_valid_and_their_content_as_it_was(blocks: list[Json]) -> None:
    given_ids = blockkit.with_ids(blocks)

    assert blockkit.message_errors(blocks) == []
    assert blockkit.message_errors(given_ids) == []
    assert blockkit.with_ids(given_ids) == given_ids
    assert blockkit.text_length(given_ids) == blockkit.text_length(blocks)
    assert all("block_id" in item for item in given_ids)
    assert not any("block_id" in item for item in blocks)
