"""The options of `sam` and `kubectl` that README and docs use are those that the tools name in their help."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.patience import within
from tests.unit.docs.test_commands import INDENTED, PAGES, in_blocks, in_sentences
from tests.unit.support.commands import ROOT, commands

pytestmark = pytest.mark.slow
TOOLS = {"sam": 1, "kubectl": 1}
# Their verbs have options of their own.
GROUPS = ("auth", "rollout")
BIN = Path(sys.executable).parent


def documented() -> list[list[str]]:
    blocks = [
        block
        for page in PAGES
        for block in in_blocks(page.read_text(), indented=str(page.relative_to(ROOT)) in INDENTED)
    ]
    inline = [text for page in PAGES for text in in_sentences(page.read_text())]
    every = (words for text in (*blocks, *inline) for words in commands(text) if len(words) > 1)
    return sorted({tuple(words): words for words in every if words[0] in TOOLS}.values())


@cache
def options_of(tool: str, verb: str) -> set[str]:
    """As its help names them; kubectl's common ones stand in a help of their own."""
    asked = [[*verb.split(), "--help"], *([["options"]] if tool == "kubectl" else [])]
    help_text = ""
    for words in asked:
        ran = subprocess.run([BIN / tool, *words], capture_output=True, text=True, check=True, timeout=within(120))
        help_text += ran.stdout
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", help_text))


def test_the_docs_use_both_tools() -> None:
    assert {words[0] for words in documented()} == set(TOOLS)


@pytest.mark.parametrize("words", documented(), ids=" ".join)
def test_the_tool_knows_the_verb_and_its_options(words: list[str]) -> None:
    tool, verb, *arguments = words
    if verb in GROUPS:
        verb, *arguments = (f"{verb} {arguments[0]}", *arguments[1:])
    options = [word.partition("=")[0] for word in arguments if word.startswith("-") and word != "-"]
    assert [option for option in options if option not in options_of(tool, verb)] == []
