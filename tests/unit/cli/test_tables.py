"""Tables on a terminal: what is there to be copied stays whole."""

from __future__ import annotations

import re

import pytest

from ip_remediator_cli import tables

ROW = ["shop-prod-20261130-075216-1617cf", "11-30 07:52", "rolled back", "subnet exhausted", "100.64.0.0/16"]


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_given_words_that_fit_then_none_is_broken(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", tables.table(["incident", "opened (UTC)", "outcome", "verdict", ""], [ROW]))
    assert max(map(len, shown.splitlines())) <= columns
    assert [word for text in ROW for word in text.split() if word not in shown] == []


def test_given_words_that_do_not_fit_then_the_table_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", tables.table(["incident", "opened (UTC)", "outcome", "verdict", ""], [ROW]))
    assert max(map(len, shown.splitlines())) <= 40
