"""Tables on a terminal: what is there to be copied stays whole."""

from __future__ import annotations

import re

import pytest

from ip_remediator_cli import tables

HEADERS = ["incident", "opened (UTC)", "state", "verdict", "plan"]
ROW = ["shop-prod-20261130-075216-1617cf", "11-30 07:52", "rolled back", "subnet exhausted", "100.64.0.0/16"]


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_given_words_that_fit_then_none_is_broken(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", tables.table(HEADERS, [ROW]))
    assert max(map(len, shown.splitlines())) <= columns
    assert [word for text in ROW for word in text.split() if word not in shown] == []


def test_given_a_word_longer_than_any_name_in_a_sentence_then_it_alone_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    tag = f"eks-ip-remediator:pod-subnet={'c' * 54}"
    shown = re.sub(
        r"\x1b\[[0-9;]*m", "", tables.table(["option", "reason"], [["existing-subnet", f"no tag {tag} there"]])
    )
    lines = shown.splitlines()
    assert lines[0].split() == ["OPTION", "REASON"]
    assert max(map(len, lines)) <= 80
    assert tag in "".join(line[17:] for line in lines[1:])


@pytest.mark.parametrize("columns", [40, 60, 79])
def test_given_words_that_do_not_fit_in_a_row_then_each_row_is_a_paragraph_without_a_broken_word(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    row = [f"{ROW[0]}-with-a-longer-name"[:40], *ROW[1:]]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", tables.table(HEADERS, [row, [row[0], *["-"] * 4]]))
    assert max(map(len, shown.splitlines())) <= columns
    assert [word for text in row for word in text.split() if word not in shown] == []
    assert shown.splitlines()[-1] == row[0]
    assert "  state         rolled back" in shown.splitlines()
