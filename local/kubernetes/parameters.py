"""Query parameters as the API server reads them (k8s.io/apimachinery/pkg/runtime/conversion.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.kubernetes import errors

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_set(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter: absent, `0` and `false` (in any case) mean no; the rest, `?watch` and `watch=True`, yes."""
    value = query.get(name)
    return value is not None and value != "0" and value.lower() != "false"


def integer(text: str) -> int:
    """Raises ApiError 400 in the words of Go's ParseInt."""
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
