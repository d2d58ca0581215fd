"""Documents as attributes of the record: JSON text, or zlib-compressed JSON where the text is long.

An item of DynamoDB holds 400 KB, attribute names included (DynamoDB Developer Guide, "Quotas"). The verification of
some thousand pods is longer than that as text, and shrinks to a fraction of it.
"""

from __future__ import annotations

import zlib
from typing import Any, TypeVar

from ip_remediator.common.document import Document

D = TypeVar("D", bound=Document)
# Text stays readable in DynamoDB's console. All documents of most incidents are shorter.
_TEXT_BYTES = 32_000


def to_attribute(document: Document) -> str | bytes:
    """The value to store: text of at most 32,000 bytes, or compressed."""
    text = document.model_dump_json()
    body = text.encode()
    return text if len(body) <= _TEXT_BYTES else zlib.compress(body)


def from_attribute(kind: type[D], value: Any) -> D:
    """The document of a stored value: a string, or DynamoDB's Binary.

    Raises:
        pydantic.ValidationError: the value is not a document of this kind.
    """
    return kind.model_validate_json(value if isinstance(value, str) else zlib.decompress(bytes(value)))
