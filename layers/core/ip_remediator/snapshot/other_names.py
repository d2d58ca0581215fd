"""Fields that people, or older readers, call by another name: each is read into the model's field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def renamed(
    document: Any, names: Mapping[str, Sequence[str]], values: Mapping[str, Callable[[Any], Any]] | None = None
) -> Any:
    """`document` with its fields under the keys of `names`, which lists the other names of each.

    `values` translates what stands under another name. A field that is given twice stays as it is, so that the model
    refuses the second name.
    """
    if not isinstance(document, Mapping):
        return document
    result = dict(document)
    for name, others in names.items():
        other = next((other for other in others if other in result), None)
        if other is not None and name not in result:
            value = result.pop(other)
            result[name] = values[other](value) if values and other in values else value
    return result


def negated(value: Any) -> Any:
    """The opposite of a bool; other values as they are, for the validation to refuse."""
    return not value if isinstance(value, bool) else value
