"""Slack's Web API: `/api/<method>`.

Arguments come as JSON, as a form or in the query, as with the real one; a refusal is HTTP 200 with
`{"ok": false, "error": ...}` (https://docs.slack.dev/apis/web-api).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local.slack.model import BOT_ID, BOT_USER_ID, TEAM, Channel, Json, Message, SlackError, User
from local.slack.workspace import USER_GROUPS, Workspace

if TYPE_CHECKING:
    from starlette.requests import Request

Method = Callable[["WebApi", Json], Json]
_METHODS: dict[str, Method] = {}
# Arguments that are JSON documents, and JSON strings when they come in a form.
_DOCUMENTS = ("blocks", "view", "metadata")
_STRINGS = (
    "channel",
    "ts",
    "user",
    "text",
    "thread_ts",
    "message_ts",
    "trigger_id",
    "view_id",
    "external_id",
    "hash",
)


def _is_text(args: Json, name: str) -> bool:
    return args.get(name) is None or isinstance(args[name], str)


def _method(name: str, *required: str) -> Callable[[Method], Method]:
    def register(function: Method) -> Method:
        def checked(api: WebApi, args: Json) -> Json:
            problems = [f"[ERROR] missing required field: {key}" for key in required if not args.get(key)]
            problems += [
                f"[ERROR] must be a string [json-pointer:/{key}]" for key in _STRINGS if not _is_text(args, key)
            ]
            if problems:
                raise SlackError("invalid_arguments", problems)
            return function(api, args)

        _METHODS[name] = checked
        return function

    return register


class WebApi:
    """The methods, working on one workspace. `base_url`: where it is reached, without a last slash."""

    def __init__(self, workspace: Workspace, bot_token: str, base_url: str) -> None:
        self.workspace = workspace
        self.base_url = base_url
        self._bot_token = bot_token

    def call(self, method: str, args: Json, token: str) -> Json:
        """The answer to a call; raises SlackError for a refusal."""
        if method not in _METHODS:
            raise SlackError("unknown_method")
        if method != "api.test":
            self._authenticate(token)
        return {"ok": True, **_METHODS[method](self, args)}

    def permalink(self, message: Message) -> str:
        """The link of a message, as chat.getPermalink returns it."""
        thread = f"?thread_ts={message.thread_ts}&cid={message.channel}" if message.thread_ts else ""
        return f"{self.base_url}/archives/{message.channel}/p{message.ts.replace('.', '')}{thread}"

    def _authenticate(self, token: str) -> None:
        if not token:
            raise SlackError("not_authed")
        if token != self._bot_token:
            raise SlackError("invalid_auth")


async def read_arguments(request: Request) -> tuple[Json, str]:
    """The call's arguments and its token, from wherever Slack takes them."""
    args: Json = dict(request.query_params)
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        args |= _json_object(body or b"{}")
    elif body:
        args |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    for name in _DOCUMENTS:
        if isinstance(args.get(name), str):
            args[name] = _document(name, args[name])
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = args.pop("token", "")
    return args, bearer.strip() if scheme.lower() == "bearer" else str(token)


def _json_object(body: bytes) -> Json:
    try:
        document = json.loads(body)
    except ValueError:
        raise SlackError("invalid_json") from None
    if not isinstance(document, dict):
        raise SlackError("json_not_object")
    return document


def _document(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise SlackError("invalid_blocks_format" if name == "blocks" else "invalid_arguments") from None


def _content(args: Json) -> tuple[str, list[Json]]:
    return args.get("text") or "", _blocks(args) or []


def _blocks(args: Json) -> list[Json] | None:
    blocks = args.get("blocks")
    if blocks is None:
        return None
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    return blocks


def _metadata(args: Json) -> Json | None:
    """https://docs.slack.dev/messaging/message-metadata: an event's type and a flat payload."""
    metadata = args.get("metadata")
    if metadata is None:
        return None
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    if not isinstance(payload, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    return {"event_type": metadata["event_type"], "event_payload": payload}


def _bot_channel(api: WebApi, reference: str) -> Channel:
    channel = api.workspace.channel(reference, by_name=True)
    if not channel.has_bot:
        raise SlackError("not_in_channel")
    return channel


@_method("api.test")
def _api_test(_api: WebApi, args: Json) -> Json:
    return {"args": args}


@_method("auth.test")
def _auth_test(api: WebApi, _args: Json) -> Json:
    bot = api.workspace.users[BOT_USER_ID]
    return {
        "url": f"{api.base_url}/",
        "team": TEAM["name"],
        "user": bot.name,
        "team_id": TEAM["id"],
        "user_id": bot.id,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


@_method("chat.postMessage", "channel")
def _post_message(api: WebApi, args: Json) -> Json:
    channel = _bot_channel(api, args["channel"])
    text, blocks = _content(args)
    thread_ts = args.get("thread_ts")
    broadcast = thread_ts is not None and str(args.get("reply_broadcast", "")).lower() in ("true", "1")
    message = api.workspace.post(
        channel.id,
        BOT_USER_ID,
        text,
        blocks,
        thread_ts=thread_ts,
        broadcast=broadcast,
        metadata=_metadata(args),
    )
    return {"channel": channel.id, "ts": message.ts, "message": message.as_slack()}


@_method("chat.postEphemeral", "channel", "user")
def _post_ephemeral(api: WebApi, args: Json) -> Json:
    channel = _bot_channel(api, args["channel"])
    if args["user"] not in api.workspace.users:
        raise SlackError("user_not_in_channel")
    text, blocks = _content(args)
    message = api.workspace.post(
        channel.id, BOT_USER_ID, text, blocks, thread_ts=args.get("thread_ts"), ephemeral_to=args["user"]
    )
    return {"message_ts": message.ts}


@_method("chat.update", "channel", "ts")
def _update(api: WebApi, args: Json) -> Json:
    channel = api.workspace.channel(args["channel"])
    message = api.workspace.message(channel.id, args["ts"])
    if message.ephemeral_to:
        raise SlackError("message_not_found")
    if message.user != BOT_USER_ID:
        raise SlackError("cant_update_message")
    text, blocks = args.get("text"), _blocks(args)
    if text is None and blocks is None:
        raise SlackError("no_text")
    api.workspace.update(message, text, blocks)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": message.as_slack()}


@_method("chat.getPermalink", "channel", "message_ts")
def _get_permalink(api: WebApi, args: Json) -> Json:
    channel = api.workspace.channel(args["channel"])
    message = api.workspace.message(channel.id, args["message_ts"])
    return {"channel": channel.id, "permalink": api.permalink(message)}


@_method("conversations.list")
def _conversations_list(api: WebApi, _args: Json) -> Json:
    channels = [_channel_object(item) for item in api.workspace.channels.values()]
    return {"channels": channels, "response_metadata": {"next_cursor": ""}}


@_method("users.conversations")
def _users_conversations(api: WebApi, args: Json) -> Json:
    """Those that the app is in, in pages; without `types` the public ones alone, of which all here are."""
    if "public_channel" not in str(args.get("types", "public_channel")).split(","):
        return {"channels": [], "response_metadata": {"next_cursor": ""}}
    mine = [_channel_object(item) for item in api.workspace.channels.values() if item.has_bot]
    start, limit = int(args.get("cursor") or 0), int(args.get("limit", 100))
    following = str(start + limit) if start + limit < len(mine) else ""
    return {"channels": mine[start : start + limit], "response_metadata": {"next_cursor": following}}


@_method("conversations.info", "channel")
def _conversations_info(api: WebApi, args: Json) -> Json:
    return {"channel": _channel_object(api.workspace.channel(args["channel"]))}


def _readable_channel(api: WebApi, reference: str) -> Channel:
    """By its id only; the app must be a member."""
    channel = api.workspace.channel(reference)
    if not channel.has_bot:
        raise SlackError("not_in_channel")
    return channel


@_method("conversations.history", "channel")
def _conversations_history(api: WebApi, args: Json) -> Json:
    channel = _readable_channel(api, args["channel"])
    top = [
        message
        for message in api.workspace.visible(channel.id)
        if message.thread_ts in (None, message.ts) or message.broadcast
    ]
    return _newest(top, args)


@_method("conversations.replies", "channel", "ts")
def _conversations_replies(api: WebApi, args: Json) -> Json:
    channel = api.workspace.channel(args["channel"])
    thread = [message for message in api.workspace.visible(channel.id) if args["ts"] in (message.ts, message.thread_ts)]
    if not thread:
        raise SlackError("thread_not_found")
    return {"messages": [message.as_slack() for message in thread], "has_more": False}


def _newest(messages: list[Message], args: Json) -> Json:
    """Newest first, between `oldest` and `latest`, at most `limit` (default 100) of them."""
    try:
        limit = int(args.get("limit", 100))
        oldest, latest = float(args.get("oldest", 0)), float(args.get("latest", "inf"))
    except (TypeError, ValueError):
        raise SlackError("invalid_arguments", ["[ERROR] limit, oldest and latest must be numbers"]) from None
    within = [message for message in reversed(messages) if oldest < float(message.ts) < latest]
    with_metadata = str(args.get("include_all_metadata", "")).lower() in ("true", "1")
    shown = [
        message.as_slack() | ({"metadata": message.metadata} if with_metadata and message.metadata else {})
        for message in within
    ]
    return {"messages": shown[:limit], "has_more": len(within) > limit}


@_method("users.info", "user")
def _users_info(api: WebApi, args: Json) -> Json:
    return {"user": _user_object(api.workspace.user(args["user"]))}


@_method("usergroups.users.list", "usergroup")
def _usergroups_users_list(_api: WebApi, args: Json) -> Json:
    if args["usergroup"] not in USER_GROUPS:
        raise SlackError("no_such_subteam")
    return {"users": USER_GROUPS[args["usergroup"]][1]}


@_method("views.open", "trigger_id", "view")
def _views_open(api: WebApi, args: Json) -> Json:
    user = api.workspace.exchange_trigger(args["trigger_id"])
    return {"view": api.workspace.open_view(user, args["view"]).as_slack()}


@_method("views.update", "view")
def _views_update(api: WebApi, args: Json) -> Json:
    view = api.workspace.view(args.get("view_id", ""), args.get("external_id", ""))
    return {"view": api.workspace.update_view(view, args["view"], args.get("hash")).as_slack()}


def _channel_object(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": True,
        "is_archived": False,
        "is_private": False,
        "is_member": channel.has_bot,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
    }


def _user_object(user: User) -> Json:
    profile = {"display_name": user.name, "real_name": user.real_name}
    return {
        "id": user.id,
        "team_id": TEAM["id"],
        "name": user.name,
        "real_name": user.real_name,
        "is_bot": user.is_bot,
        "deleted": False,
        "profile": profile,
    }
