"""The page in the browser and the calls it makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.slack.model import BOT_USER_ID, TEAM, Json, Message
from local.slack.services import Services, read_model, services

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = Path(__file__).parent / "page"
# Texts come from clusters: even if one slipped through, nothing foreign may run, load or be sent anywhere.
PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def index(_request: Request) -> Response:
    """The page; which channel and message it opens at is in its own address."""
    return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)


async def asset(request: Request) -> Response:
    """A file of the page; 404 for any other name."""
    name: str = request.path_params["name"]
    if name not in {file.name for file in PAGE.iterdir()}:
        raise HTTPException(404)
    return FileResponse(PAGE / name, headers=PAGE_HEADERS)


async def state(request: Request) -> Response:
    """Everything that one person sees."""
    around = services(request)
    workspace = around.workspace
    me = workspace.user(request.query_params.get("user", ""))
    people = [{"id": one.id, "name": one.name, "real_name": one.real_name} for one in workspace.users.values()]
    return JSONResponse(
        {
            "team": TEAM["name"],
            "me": me.id,
            "bot": BOT_USER_ID,
            "people": people,
            "channels": [{"id": one.id, "name": one.name, "topic": one.topic} for one in workspace.channels.values()],
            "messages": [
                _shown(one, around)
                for one in workspace.messages
                if not one.deleted and one.ephemeral_to in (None, me.id)
            ],
            "views": [one.as_slack() for one in workspace.views_of(me.id)],
        }
    )


def _shown(message: Message, around: Services) -> Json:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "user": message.user,
        "thread_ts": message.thread_ts,
        "broadcast": message.broadcast,
        "ephemeral": message.ephemeral_to is not None,
        "edited": message.edited,
        "permalink": around.api.permalink(message),
        "text": message.text,
        "blocks": message.blocks,
    }


async def events(request: Request) -> Response:
    """A stream of server-sent events: one for each change of the workspace."""
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(services(request).feed.stream(), media_type="text/event-stream", headers=headers)


class Click(BaseModel):
    """The body of a click on a button."""

    user: str
    channel: str
    ts: str
    block_id: str
    action_id: str


async def click(request: Request) -> Response:
    """A button was pressed; answers when the app has, or after three seconds."""
    wanted = await read_model(request, Click)
    delivery = await services(request).interactivity.click(**wanted.model_dump())
    return JSONResponse({"problem": delivery.problem})


class Submission(BaseModel):
    """The body of a modal that is submitted; `values` by block and action id."""

    user: str
    view_id: str
    values: dict[str, dict[str, dict[str, Any]]] = {}


async def submit(request: Request) -> Response:
    """A modal was sent off; `errors` maps block ids to what the app objects to."""
    wanted = await read_model(request, Submission)
    delivery = await services(request).interactivity.submit(**wanted.model_dump())
    return JSONResponse({"problem": delivery.problem, "errors": (delivery.answer or {}).get("errors", {})})


class Closing(BaseModel):
    """The body of a modal that is closed."""

    user: str
    view_id: str


async def close(request: Request) -> Response:
    """A user closes a modal."""
    wanted = await read_model(request, Closing)
    await services(request).interactivity.close(**wanted.model_dump())
    return JSONResponse({})


class Said(BaseModel):
    """The body of a message that a user writes."""

    user: str
    channel: str
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    thread_ts: str | None = None


async def say(request: Request) -> Response:
    """A person writes a message; what they type is text, so Slack's control characters are escaped."""
    typed = await read_model(request, Said)
    workspace = services(request).workspace
    text = typed.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    channel, user = workspace.channel(typed.channel), workspace.user(typed.user)
    message = workspace.post(channel.id, user.id, text, [], thread_ts=typed.thread_ts)
    return JSONResponse({"ts": message.ts})


ROUTES = [
    Route("/", index),
    Route("/archives/{channel}", index),
    Route("/archives/{channel}/{message}", index),
    Route("/_page/assets/{name}", asset),
    Route("/_page/state", state),
    Route("/_page/events", events),
    Route("/_page/click", click, methods=["POST"]),
    Route("/_page/submit", submit, methods=["POST"]),
    Route("/_page/close", close, methods=["POST"]),
    Route("/_page/say", say, methods=["POST"]),
]
