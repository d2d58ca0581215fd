"""Block Kit as Slack accepts it: structure, limits, and the errors in Slack's own words.

Only what the page can draw is known here; any other block or element is refused, although Slack may know it.
Limits: https://docs.slack.dev/reference/block-kit/blocks and composition-objects. A contract test compares
them with those of slack_sdk's models, so they cannot drift apart unnoticed.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from local.slack.model import Json

MAX_BLOCKS_IN_MESSAGE = 50
MAX_BLOCKS_IN_VIEW = 100
# Not in the reference: what Slack's maintainers named for all texts of a message (slackapi/bolt-js#2509).
MAX_TEXT_OF_ALL_BLOCKS = 12_000

MAX_HEADER = 150
MAX_SECTION_TEXT = 3000
MAX_SECTION_FIELDS = 10
MAX_FIELD_TEXT = 2000
MAX_CONTEXT_ELEMENTS = 10
MAX_ACTIONS_ELEMENTS = 25
MAX_BUTTON_TEXT = 75
MAX_BUTTON_VALUE = 2000
MAX_URL = 3000
MAX_ID = 255
MAX_ALT_TEXT = 2000
MAX_IMAGE_TITLE = 2000
MAX_CONFIRM_TITLE = 100
MAX_CONFIRM_TEXT = 300
MAX_CONFIRM_BUTTON = 30
MAX_LABEL = 2000
MAX_OPTION_TEXT = 75
MAX_OPTION_VALUE = 150
MAX_OPTIONS_IN_SELECT = 100
MAX_OPTIONS_IN_GROUP = 10
MAX_PLACEHOLDER = 150
MAX_VIEW_TITLE = 24
MAX_PRIVATE_METADATA = 3000


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PlainText(_Object):
    """A text object without markup."""

    type: Literal["plain_text"]
    text: Annotated[str, Field(min_length=1, max_length=MAX_SECTION_TEXT)]
    emoji: bool | None = None


class Mrkdwn(_Object):
    """A text object with Slack's markup."""

    type: Literal["mrkdwn"]
    text: Annotated[str, Field(min_length=1, max_length=MAX_SECTION_TEXT)]
    verbatim: bool | None = None


def _at_most(limit: int) -> AfterValidator:
    """A limit on a text object that is tighter than the 3000 characters of every text object."""

    def check(value: PlainText | Mrkdwn) -> PlainText | Mrkdwn:
        if len(value.text) > limit:
            raise PydanticCustomError("too_long", "must be less than {limit} characters", {"limit": limit + 1})
        return value

    return AfterValidator(check)


Text = Annotated[PlainText | Mrkdwn, Field(discriminator="type")]
FieldText = Annotated[Text, _at_most(MAX_FIELD_TEXT)]
Id = Annotated[str, StringConstraints(max_length=MAX_ID)]
Url = Annotated[str, StringConstraints(max_length=MAX_URL, pattern=r"^(https?://|mailto:)\S+$")]
Style = Literal["primary", "danger"]


class Confirm(_Object):
    """The dialog that asks before a button acts."""

    title: Annotated[PlainText, _at_most(MAX_CONFIRM_TITLE)]
    text: Annotated[Text, _at_most(MAX_CONFIRM_TEXT)]
    confirm: Annotated[PlainText, _at_most(MAX_CONFIRM_BUTTON)]
    deny: Annotated[PlainText, _at_most(MAX_CONFIRM_BUTTON)]
    style: Style | None = None


class Button(_Object):
    """A button element."""

    type: Literal["button"]
    text: Annotated[PlainText, _at_most(MAX_BUTTON_TEXT)]
    action_id: Id | None = None
    value: Annotated[str, Field(max_length=MAX_BUTTON_VALUE)] | None = None
    url: Url | None = None
    style: Style | None = None
    confirm: Confirm | None = None
    accessibility_label: Annotated[str, Field(max_length=MAX_BUTTON_TEXT)] | None = None


class ImageElement(_Object):
    """An image inside a context block."""

    type: Literal["image"]
    image_url: Url
    alt_text: Annotated[str, Field(max_length=MAX_ALT_TEXT)]


class _Block(_Object):
    block_id: Id | None = None


class Header(_Block):
    """A header block."""

    type: Literal["header"]
    text: Annotated[PlainText, _at_most(MAX_HEADER)]


class Section(_Block):
    """A section block: a text, fields, or both."""

    type: Literal["section"]
    text: Text | None = None
    fields: (
        Annotated[
            list[FieldText],
            Field(min_length=1, max_length=MAX_SECTION_FIELDS),
        ]
        | None
    ) = None
    accessory: Annotated[Button | ImageElement, Field(discriminator="type")] | None = None
    expand: bool | None = None


class Context(_Block):
    """A context block: small texts and images."""

    type: Literal["context"]
    elements: Annotated[
        list[Annotated[PlainText | Mrkdwn | ImageElement, Field(discriminator="type")]],
        Field(min_length=1, max_length=MAX_CONTEXT_ELEMENTS),
    ]


class Divider(_Block):
    """A divider block."""

    type: Literal["divider"]


class Actions(_Block):
    """A block of buttons."""

    type: Literal["actions"]
    elements: Annotated[list[Button], Field(min_length=1, max_length=MAX_ACTIONS_ELEMENTS)]


class Image(_Block):
    """An image block."""

    type: Literal["image"]
    image_url: Url
    alt_text: Annotated[str, Field(max_length=MAX_ALT_TEXT)]
    title: Annotated[PlainText, _at_most(MAX_IMAGE_TITLE)] | None = None


class Option(_Object):
    """One choice of a select, of checkboxes or of radio buttons."""

    text: Annotated[Text, _at_most(MAX_OPTION_TEXT)]
    value: Annotated[str, Field(max_length=MAX_OPTION_VALUE)]
    description: Annotated[PlainText, _at_most(MAX_OPTION_TEXT)] | None = None


class PlainTextInput(_Object):
    """A text field of a modal."""

    type: Literal["plain_text_input"]
    action_id: Id | None = None
    initial_value: str | None = None
    multiline: bool | None = None
    min_length: Annotated[int, Field(ge=0, le=3000)] | None = None
    max_length: Annotated[int, Field(ge=1, le=3000)] | None = None
    placeholder: Annotated[PlainText, _at_most(MAX_PLACEHOLDER)] | None = None
    focus_on_load: bool | None = None


class StaticSelect(_Object):
    """A select with fixed options."""

    type: Literal["static_select"]
    action_id: Id | None = None
    options: Annotated[list[Option], Field(min_length=1, max_length=MAX_OPTIONS_IN_SELECT)]
    initial_option: Option | None = None
    placeholder: Annotated[PlainText, _at_most(MAX_PLACEHOLDER)] | None = None


class Checkboxes(_Object):
    """A group of checkboxes."""

    type: Literal["checkboxes"]
    action_id: Id | None = None
    options: Annotated[list[Option], Field(min_length=1, max_length=MAX_OPTIONS_IN_GROUP)]
    initial_options: Annotated[list[Option], Field(min_length=1)] | None = None


class RadioButtons(_Object):
    """A group of radio buttons."""

    type: Literal["radio_buttons"]
    action_id: Id | None = None
    options: Annotated[list[Option], Field(min_length=1, max_length=MAX_OPTIONS_IN_GROUP)]
    initial_option: Option | None = None


class Input(_Block):
    """A block with a label and one input element; in modals."""

    type: Literal["input"]
    label: Annotated[PlainText, _at_most(MAX_LABEL)]
    element: Annotated[PlainTextInput | StaticSelect | Checkboxes | RadioButtons, Field(discriminator="type")]
    hint: Annotated[PlainText, _at_most(MAX_LABEL)] | None = None
    optional: bool | None = None


MessageBlock = Annotated[Header | Section | Context | Divider | Actions | Image, Field(discriminator="type")]
ViewBlock = Annotated[Header | Section | Context | Divider | Actions | Image | Input, Field(discriminator="type")]


class View(_Object):
    """A modal."""

    type: Literal["modal"]
    title: Annotated[PlainText, _at_most(MAX_VIEW_TITLE)]
    blocks: Annotated[list[ViewBlock], Field(max_length=MAX_BLOCKS_IN_VIEW)]
    submit: Annotated[PlainText, _at_most(MAX_VIEW_TITLE)] | None = None
    close: Annotated[PlainText, _at_most(MAX_VIEW_TITLE)] | None = None
    callback_id: Id | None = None
    external_id: Id | None = None
    private_metadata: Annotated[str, Field(max_length=MAX_PRIVATE_METADATA)] | None = None
    clear_on_close: bool | None = None
    notify_on_close: bool | None = None
    submit_disabled: bool | None = None


_MESSAGE_BLOCKS: TypeAdapter[list[Any]] = TypeAdapter(
    Annotated[list[MessageBlock], Field(max_length=MAX_BLOCKS_IN_MESSAGE)]
)
_VIEW: TypeAdapter[View] = TypeAdapter(View)


def message_errors(blocks: list[Json]) -> list[str]:
    """Everything Slack would object to in a message's blocks, as `[ERROR] ... [json-pointer:/blocks/...]`."""
    errors = _schema_errors(_MESSAGE_BLOCKS, blocks, "/blocks")
    return errors or _structure_errors(blocks, "/blocks")


def view_errors(view: Json) -> list[str]:
    """Everything Slack would object to in a modal view."""
    errors = _schema_errors(_VIEW, view, "/view") or _structure_errors(view["blocks"], "/view/blocks")
    if not errors and "submit" not in view and any(block["type"] == "input" for block in view["blocks"]):
        errors.append("[ERROR] missing required field: submit [json-pointer:/view]")
    return errors


def text_length(blocks: list[Json]) -> int:
    """Characters of all text objects together, which Slack limits for a whole message."""
    return sum(_characters(block) for block in blocks)


def with_ids(blocks: list[Json]) -> list[Json]:
    """A copy in which every block and every interactive element has an id, as Slack hands messages back."""
    # Unlike deepcopy, a round trip through JSON also parts what is one object in two places.
    blocks = json.loads(json.dumps(blocks))
    for block in blocks:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for element in interactive_elements(block):
            element.setdefault("action_id", secrets.token_urlsafe(4))
    return blocks


def interactive_elements(block: Json) -> list[Json]:
    """The elements of a block that a person can act on."""
    candidates = [*block.get("elements", []), block.get("accessory"), block.get("element")]
    return [element for element in candidates if element and element["type"] not in ("image", "plain_text", "mrkdwn")]


def _characters(node: Any) -> int:
    if isinstance(node, list):
        return sum(_characters(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = len(node["text"]) if isinstance(node.get("text"), str) else 0
    return own + sum(_characters(child) for child in node.values())


def _structure_errors(blocks: list[Json], pointer: str) -> list[str]:
    """What a schema cannot say: ids unique in their scope, and sections that hold something."""
    errors = [f'`block_id` "{item}" already exists [json-pointer:{pointer}]' for item in _repeated(blocks, "block_id")]
    for index, block in enumerate(blocks):
        here = f"[json-pointer:{pointer}/{index}]"
        repeated = _repeated(interactive_elements(block), "action_id")
        errors += [f'`action_id` "{item}" already exists for another element {here}' for item in repeated]
        if block["type"] == "section" and not block.get("text") and not block.get("fields"):
            errors.append(f"must define either `text` or `fields` {here}")
    return [f"[ERROR] {item}" for item in errors]


def _repeated(items: list[Json], key: str) -> list[str]:
    counts = Counter(item[key] for item in items if item.get(key))
    return [value for value, count in counts.items() if count > 1]


def _schema_errors(schema: TypeAdapter[Any], data: Any, root: str) -> list[str]:
    try:
        schema.validate_python(data)
    except ValidationError as error:
        return [_in_slacks_words(dict(detail), data, root) for detail in error.errors(include_url=False)]
    return []


def _in_slacks_words(error: Json, data: Any, root: str) -> str:
    where = list(error["loc"])
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            message = f"missing required field: {where.pop()}"
        case "extra_forbidden":
            message = f"invalid additional property: {where.pop()}"
        case "string_too_long":
            message = f"must be less than {context['max_length'] + 1} characters"
        case "string_too_short":
            message = f"must be more than {context['min_length'] - 1} characters"
        case "too_long" if "max_length" in context:
            message = f"no more than {context['max_length']} items allowed"
        case "too_short":
            message = f"no fewer than {context['min_length']} items allowed"
        case "union_tag_invalid":
            message = f"unsupported type: {context['tag']}"
        case _:
            message = error["msg"]
    return f"[ERROR] {message} [json-pointer:{_pointer(where, data, root)}]"


def _pointer(where: list[Any], data: Any, root: str) -> str:
    """pydantic's location without the union tags that it puts between the real keys."""
    pointer = root
    for step in where:
        if (isinstance(data, list) and isinstance(step, int)) or (isinstance(data, dict) and step in data):
            data = data[step]
        else:
            continue
        pointer += f"/{step}"
    return pointer
