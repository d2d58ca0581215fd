"""The base of every document that is stored, passed between functions or written by hand."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """An immutable JSON document. Unknown fields are refused, so that a misspelt one is named, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
