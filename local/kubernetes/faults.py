"""Faults on demand: what a caller of the Kubernetes API must be able to bear.

POST   /_local/faults  {"user": "ClusterFunction", "action": "create eniconfigs", "status": 500, "times": 2, "skip": 1,
                        "when": "before", "delay": 0.5, "retry_after": 3, "message": "...", "crash": "http://..."}
GET    /_local/calls   what each user has called: user, action, status       DELETE /_local/faults, /_local/calls

Only administrators may. `user` is a part of the caller's name; an action is a verb and a resource, with its subresource
if there is one ("create pods/eviction"). `when`: "before" refuses the call with `status`, "after" lets it take effect
and answers 500, "cut" ends the connection without effect and answer, "killed" lets it take effect and requests `crash`
by POST, which ends the caller's process.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from local.faults import CutOff, take
from local.kubernetes.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

PREFIX = "/_local/"
CALLS_KEPT = 20_000
_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


class Fault(BaseModel):
    """One fault to inject: which calls it hits (`user`, `action`), how often, and what happens to them."""

    model_config = ConfigDict(extra="forbid")

    user: str = ""
    action: str = "*"
    status: int = Field(500, ge=400, le=599)
    times: int = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    when: Literal["before", "after", "cut", "killed"] = "before"
    delay: float = Field(0.0, ge=0.0)
    retry_after: int | None = None
    message: str = "injected by a test"
    crash: str | None = None

    def refusal(self) -> Response:
        """The response of a call that is refused, or whose answer is lost."""
        status = 500 if self.when == "after" else self.status
        body = ApiError(status, _REASONS.get(status, "InternalError"), self.message).status()
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return JSONResponse(body, status, headers)


class Faults:
    """The faults still to come and the calls so far of one API server."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []
        self.calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)

    async def control(self, request: Request) -> Response:
        """What tests ask for under /_local."""
        kind = request.url.path.removeprefix(PREFIX)
        kept: Any = {"faults": self.pending, "calls": self.calls}.get(kind)
        if kept is None:
            return JSONResponse({"error": f"{kind} is not offered; faults and calls are"}, HTTPStatus.NOT_FOUND)
        if request.method == "DELETE":
            kept.clear()
        elif request.method == "POST":
            self.pending.append(Fault.model_validate_json(await request.body()))
        items = list(self.calls) if kind == "calls" else [fault.model_dump() for fault in self.pending]
        return JSONResponse({"items": items})

    async def serve(self, user: str, action: str, answer: Callable[[], Awaitable[Response]]) -> Response:
        """The answer to a call, or what a fault makes of it."""
        call: dict[str, Any] = {"user": user, "action": action, "status": None}
        self.calls.append(call)
        fault = self._take(user, action)
        if fault is None:
            response = await answer()
        else:
            response = await self._struck(fault, answer)
        call["status"] = response.status_code
        return response

    async def _struck(self, fault: Fault, answer: Callable[[], Awaitable[Response]]) -> Response:
        await asyncio.sleep(fault.delay)
        if fault.when in ("after", "killed"):
            await answer()
        if fault.crash:
            crash = urllib.request.Request(fault.crash, method="POST")
            await asyncio.to_thread(urllib.request.urlopen, crash, timeout=10)
        return CutOff() if fault.when in ("cut", "killed") else fault.refusal()

    def _take(self, user: str, action: str) -> Fault | None:
        return take(self.pending, lambda fault: fault.user in user and fault.action in ("*", action))
