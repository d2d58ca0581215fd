"""What tests and demos call: the record of what happened, faults, and where clicks go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, HttpUrl
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.slack.faults import Fault
from local.slack.services import Services, read_model, services

if TYPE_CHECKING:
    from starlette.requests import Request

    from local.slack.model import Json, Message


async def messages(request: Request) -> Response:
    """Every message, oldest first, deleted and ephemeral ones too, each with all its versions."""
    around = services(request)
    return JSONResponse([_record(around, message) for message in around.workspace.messages])


def _record(around: Services, message: Message) -> Json:
    versions = [
        {"at": version.at.isoformat(), "text": version.text, "blocks": version.blocks} for version in message.versions
    ]
    return {
        "channel": message.channel,
        "ts": message.ts,
        "user": message.user,
        "thread_ts": message.thread_ts,
        "broadcast": message.broadcast,
        "ephemeral_to": message.ephemeral_to,
        "deleted": message.deleted,
        "permalink": around.api.permalink(message),
        "text": message.text,
        "blocks": message.blocks,
        "versions": versions,
    }


async def calls(request: Request) -> Response:
    """The latest Web API calls, oldest first."""
    return JSONResponse(list(services(request).calls))


async def interactions(request: Request) -> Response:
    """Every payload sent to the app, with the status, the seconds it took and the problem shown, if any."""
    return JSONResponse([delivery.as_json() for delivery in services(request).interactivity.deliveries])


class FaultControl(HTTPEndpoint):
    """The faults to inject: list, add, clear."""

    async def get(self, request: Request) -> Response:
        """The pending faults."""
        return JSONResponse(_pending(request))

    async def post(self, request: Request) -> Response:
        """Adds a fault; answers 201 with the pending ones."""
        services(request).faults.add(await read_model(request, Fault))
        return JSONResponse(_pending(request), 201)

    async def delete(self, request: Request) -> Response:
        """Clears all faults; answers 204."""
        services(request).faults.clear()
        return Response(status_code=204)


def _pending(request: Request) -> list[Json]:
    return [fault.model_dump(exclude_none=True) for fault in services(request).faults.pending]


class InteractivityUrl(BaseModel):
    """The body that sets where clicks are sent; null sends them nowhere."""

    url: HttpUrl | None


async def interactivity_url(request: Request) -> Response:
    """Sets where clicks are sent; null takes it away."""
    wanted = await read_model(request, InteractivityUrl)
    workspace = services(request).workspace
    workspace.request_url = str(wanted.url) if wanted.url else None
    return JSONResponse({"url": workspace.request_url})


ROUTES = [
    Route("/_control/messages", messages),
    Route("/_control/calls", calls),
    Route("/_control/interactions", interactions),
    Route("/_control/faults", FaultControl),
    Route("/_control/interactivity-url", interactivity_url, methods=["PUT"]),
]
