"""What the faults of the Kubernetes API and of the Slack workspace share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send


class Counted(Protocol):
    """`skip` calls pass first, then the fault strikes `times` calls."""

    skip: int
    times: int


F = TypeVar("F", bound=Counted)


def take(pending: list[F], meets: Callable[[F], bool]) -> F | None:
    """The first fault that the call meets, if any; it counts as used, and leaves `pending` once it is used up."""
    for fault in pending:
        if not meets(fault):
            continue
        if fault.skip:
            fault.skip -= 1
            continue
        fault.times -= 1
        if not fault.times:
            pending.remove(fault)
        return fault
    return None


class CutOff(Response):
    """Promises an answer and closes the connection before it has come."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Sends the head of a response that promises 64 bytes, and no body."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"64")]})
