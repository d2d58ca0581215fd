"""What is wrong with a document that people wrote, in our words: no text of pydantic's or of Python's reaches them.

Types of errors: https://docs.pydantic.dev/latest/errors/validation_errors/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_NUMBER = "must be a whole number"
_BOOLEAN = "must be true or false"
_LIST = "must be a list"
_TIME = "must be a time such as 2026-03-01T12:00:00Z"
_OBJECT = "must be an object"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "none_required": "must be null",
    "string_type": "must be a string",
    "string_pattern_mismatch": "is not written as it must be",
    "string_too_short": "must not be empty",
    "string_too_long": "may have {max_length} characters at most",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "may have {max_length} items at most",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_BY_KIND = (
    (re.compile("int_.*|float_.*|decimal_.*|finite_number"), _NUMBER),
    (re.compile("bool_.*"), _BOOLEAN),
    (re.compile("(list|tuple|set|frozen_set|iterable)_type"), _LIST),
    (re.compile("(date|time|datetime|timezone)_.*"), _TIME),
    (re.compile("(model|dict|mapping|dataclass|model_attributes)_.*"), _OBJECT),
    (re.compile("json_.*"), "must be JSON"),
    (re.compile("ip_.*"), "must be an IPv4 address or CIDR"),
)
_OTHER = "is not what is expected there"
_SPEAK_FOR_THEMSELVES = ("missing", "extra_forbidden", "string_too_short", "too_short")
_LONGEST_SHOWN = 80


def first_problem(error: ValidationError) -> ErrorDetails:
    """The first of pydantic's errors, without a link to its documentation."""
    return error.errors(include_url=False)[0]


def in_words(problem: ErrorDetails) -> str:
    """What is wrong with the field that `problem` names, and what stands there."""
    kind = problem["type"]
    words = _WORDS.get(kind) or next((text for pattern, text in _BY_KIND if pattern.fullmatch(kind)), _OTHER)
    text = words.format(**problem.get("ctx", {}))
    if kind in _SPEAK_FOR_THEMSELVES:
        return text
    shown = json.dumps(problem["input"], default=str, ensure_ascii=False)
    return f"{text}, not {shown if len(shown) <= _LONGEST_SHOWN else shown[: _LONGEST_SHOWN - 1] + '…'}"
