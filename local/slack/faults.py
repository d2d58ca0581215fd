"""Faults on demand: what a caller of the Web API must be able to bear.

`POST /_control/faults` with one of
`{"method": "chat.update", "status": 429, "retry_after": 1, "times": 2}`,
`{"method": "chat.postMessage", "status": 500}`, `{"error": "fatal_error"}` or `{"drop": true}`.
Without `method` a fault meets every method; `times` (default 1) says how often it strikes, `skip` how many calls pass
first. `"when": "after"` lets the call take effect before its answer is lost. `crash` is requested by POST in between:
it ends the caller's process.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local.faults import CutOff, take


class Fault(BaseModel):
    """One fault; exactly one of `status`, `error` and `drop` says what goes wrong."""

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | None = None
    error: str | None = None
    drop: bool = False
    when: Literal["before", "after"] = "before"
    times: Annotated[int, Field(ge=1)] = 1
    skip: Annotated[int, Field(ge=0)] = 0
    crash: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum((self.status is not None, self.error is not None, self.drop)) != 1:
            raise ValueError("give exactly one of `status`, `error` and `drop`")
        return self

    def response(self) -> Response:
        """The response of a call that the fault hits."""
        if self.drop:
            return CutOff()
        if self.error:
            return JSONResponse({"ok": False, "error": self.error})
        if self.status == 429:
            headers = {"Retry-After": str(1 if self.retry_after is None else self.retry_after)}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        return PlainTextResponse("Server Error", self.status or 500)


class Faults:
    """The faults still to strike, in the order they were given."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Adds a copy of the fault."""
        self.pending.append(fault.model_copy())

    def clear(self) -> None:
        """Removes all pending faults."""
        self.pending.clear()

    def strike(self, method: str) -> Fault | None:
        """The fault which this call meets, if any; it counts as used."""
        return take(self.pending, lambda fault: fault.method in ("*", method))
