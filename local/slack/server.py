"""The workspace over HTTP.

| route | what it is |
|---|---|
| `/api/<method>` | Slack's Web API (`web_api.py`) |
| `POST /_response/<id>` | the `response_url` of an interaction |
| `/`, `/archives/<channel>/p<ts>` | the page; the second opens at a message |
| `/_page/...` | what the page itself calls: state, events, clicks, modals, messages of people |
| `GET /_control/messages` | every message with all its versions |
| `GET /_control/calls` | the Web API calls with their arguments (never the token) and outcome |
| `GET /_control/interactions` | the payloads sent to the app, and how it answered |
| `GET, POST, DELETE /_control/faults` | faults to strike (`faults.py`) |
| `PUT /_control/interactivity-url` | `{"url": ...}`: where clicks are sent |
"""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response

from local.slack import api_routes, control_routes, page_routes
from local.slack.model import SlackError
from local.slack.services import Services, Settings

if TYPE_CHECKING:
    from starlette.requests import Request

HOST = "127.0.0.1"
GRACE_SECONDS = 1.0


def create_app(services: Services) -> Starlette:
    """The ASGI application. It answers to loopback names only: DNS rebinding gets nothing."""
    app = Starlette(
        routes=[*api_routes.ROUTES, *control_routes.ROUTES, *page_routes.ROUTES],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
        exception_handlers={HTTPException: _http_error, SlackError: _slack_error},
    )
    app.state.services = services
    return app


async def _http_error(_request: Request, error: Any) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


async def _slack_error(_request: Request, error: Any) -> Response:
    return JSONResponse({"error": error.code, "details": error.details}, 409)


def bind(port: int) -> socket.socket:
    """A listening loopback socket; port 0 picks a free one. Raises OSError when the port is taken."""
    return socket.create_server((HOST, port), backlog=128)


async def run(listener: socket.socket, services: Services, stop: asyncio.Event) -> None:
    """Serves until `stop` is set; takes the socket over."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = GRACE_SECONDS
    config.loglevel = "WARNING"

    async def stopped() -> None:
        await stop.wait()
        services.feed.close()

    await serve(create_app(services), config, shutdown_trigger=stopped)  # type: ignore[arg-type]


async def run_until_signalled(listener: socket.socket, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(listener, Services.create(settings), stop)
