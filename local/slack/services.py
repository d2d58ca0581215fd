"""Everything the routes work with, put together once per server."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from local.journal import Journal
from local.slack.faults import Faults
from local.slack.feed import Feed
from local.slack.interactivity import Interactivity
from local.slack.web_api import WebApi
from local.slack.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from local.slack.model import Json

CALLS_KEPT = 10_000
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Settings:
    """`base_url` is where this server is reached, without a last slash; the app's endpoint may come later.

    `answer_seconds`: how long an app may take to acknowledge, and how long a trigger lives. Slack's are three.
    `state`: the file in which the workspace outlives the server; faults and the records of calls and interactions,
    which are the tests' and not Slack's, end with it.
    """

    base_url: str
    signing_secret: str
    bot_token: str
    interactivity_url: str | None = None
    answer_seconds: float = 3.0
    state: Path | None = None


@dataclass(frozen=True)
class Services:
    """What the routes share: workspace, Web API, interactivity, the page's feed, faults, and the latest calls."""

    workspace: Workspace
    api: WebApi
    interactivity: Interactivity
    feed: Feed
    faults: Faults = field(default_factory=Faults)
    calls: deque[Json] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))

    @classmethod
    def create(cls, settings: Settings) -> Services:
        """A new workspace with these settings."""
        feed = Feed()
        workspace = Workspace(
            on_change=feed.publish,
            trigger_life=timedelta(seconds=settings.answer_seconds),
            journal=Journal(settings.state),
        )
        if settings.interactivity_url:
            workspace.request_url = settings.interactivity_url
        return cls(
            workspace=workspace,
            api=WebApi(workspace, settings.bot_token, settings.base_url),
            interactivity=Interactivity(
                workspace,
                settings.signing_secret,
                settings.base_url,
                settings.answer_seconds,
            ),
            feed=feed,
        )


def services(request: Request) -> Services:
    """The services of the server that got this request."""
    services_of_app: Services = request.app.state.services
    return services_of_app


async def read_model(request: Request, model: type[Model]) -> Model:
    """The JSON body as `model`; HTTP 400 names each field that is wrong.

    Insisting on the JSON content type keeps pages of other sites from posting here: their browser asks first.
    """
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, "send the body as JSON with Content-Type: application/json")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}" for detail in error.errors())
        raise HTTPException(400, "; ".join(problems)) from None
