"""What the app calls: the Web API and the response_url of an interaction."""

from __future__ import annotations

import asyncio
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.slack.model import BOT_USER_ID, Json, ResponseUrl, SlackError
from local.slack.services import Services, read_model, services
from local.slack.web_api import read_arguments

if TYPE_CHECKING:
    from starlette.requests import Request


async def web_api(request: Request) -> Response:
    """One Web API call: recorded, perhaps struck by a fault, else answered."""
    method: str = request.path_params["method"]
    around = services(request)
    record: Json = {
        "at": around.workspace.now().isoformat(),
        "method": method,
        "args": {},
        "error": None,
        "fault": None,
    }
    around.calls.append(record)
    fault = around.faults.strike(method)
    if fault:
        record["fault"] = fault.model_dump(exclude_none=True, exclude={"times"})
    try:
        args, token = await read_arguments(request)
        record["args"] = args
        if fault and fault.when == "before":
            return fault.response()
        answer = around.api.call(method, args, token)
    except SlackError as error:
        record["error"] = error.code
        answer = _refusal(error, method)
    if fault and fault.crash:
        await asyncio.to_thread(urllib.request.urlopen, urllib.request.Request(fault.crash, method="POST"), timeout=10)
    return fault.response() if fault else JSONResponse(answer)


def _refusal(error: SlackError, method: str) -> Json:
    answer: Json = {"ok": False, "error": error.code}
    if error.code == "unknown_method":
        answer["req_method"] = method
    if error.details:
        answer["errors"] = error.details
        answer["response_metadata"] = {"messages": error.details}
    return answer


class ResponseBody(BaseModel):
    """What an app may send to a response_url."""

    text: str = ""
    blocks: list[dict[str, Any]] | None = None
    response_type: Literal["ephemeral", "in_channel"] = "ephemeral"
    replace_original: bool = False
    delete_original: bool = False
    thread_ts: str | None = None


async def response_url(request: Request) -> Response:
    """Replaces or deletes the message that was clicked, or posts a new one; five times in half an hour."""
    body = await read_model(request, ResponseBody)
    around = services(request)
    try:
        response = around.workspace.use_response_url(request.path_params["response_id"])
    except SlackError as error:
        return JSONResponse({"ok": False, "error": error.code}, HTTPStatus.NOT_FOUND)
    try:
        _respond(around, response, body)
    except SlackError as error:
        return JSONResponse(_refusal(error, "response_url"), HTTPStatus.BAD_REQUEST)
    return JSONResponse({"ok": True})


def _respond(around: Services, response: ResponseUrl, body: ResponseBody) -> None:
    workspace = around.workspace
    if body.delete_original:
        workspace.delete(workspace.message(response.channel, response.ts))
    elif body.replace_original:
        workspace.update(workspace.message(response.channel, response.ts), body.text or None, body.blocks)
    else:
        only_to = None if body.response_type == "in_channel" else response.user
        workspace.post(
            response.channel,
            BOT_USER_ID,
            body.text,
            body.blocks or [],
            thread_ts=body.thread_ts,
            ephemeral_to=only_to,
        )


ROUTES = [
    Route("/api/{method}", web_api, methods=["GET", "POST"]),
    Route("/_response/{response_id}", response_url, methods=["POST"]),
]
