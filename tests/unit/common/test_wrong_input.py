"""Every error of pydantic has words of ours."""

from __future__ import annotations

from typing import Any

import pytest

# What pydantic documents about its errors is only here: https://docs.pydantic.dev/latest/errors/validation_errors/
from pydantic_core._pydantic_core import list_all_errors

from ip_remediator.common.wrong_input import in_words

# Its text is that of our own validators.
_OURS = ("value_error",)


def problem(kind: str, context: dict[str, Any], given: Any = "banana") -> Any:
    return {"type": kind, "loc": ("field",), "input": given, "ctx": context, "msg": "theirs"}


def test_no_text_of_the_library_is_shown() -> None:
    every = [error for error in list_all_errors() if error["type"] not in _OURS]
    assert len(every) > 80
    for error in every:
        phrase = in_words(problem(error["type"], error.get("example_context") or {}))
        assert error["example_message_python"].casefold() not in phrase.casefold()
        assert phrase.startswith(("must ", "is ", "may ")), phrase
        assert "should" not in phrase


def test_a_validator_of_ours_speaks_for_itself() -> None:
    phrase = in_words(problem("value_error", {"error": ValueError("must be the name of a zone")}))
    assert phrase == 'must be the name of a zone, not "banana"'


def test_a_long_input_is_cut() -> None:
    assert len(in_words(problem("int_parsing", {}, "x" * 500))) < 130


@pytest.mark.parametrize("kind", ["missing", "extra_forbidden"])
def test_a_field_that_is_missing_or_unknown_shows_no_value(kind: str) -> None:
    assert "banana" not in in_words(problem(kind, {}))
