"""The base of every document that is stored, passed between functions or written by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# Documents written by hand may leave the offset out: UTC is meant.
Moment = Annotated[datetime, AfterValidator(_in_utc)]
# A number of things, never below zero.
Count = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """An immutable JSON document. Unknown fields are refused, so that a misspelt one is named, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
