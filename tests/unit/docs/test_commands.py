"""Every command in README and docs can be run as it is written: each is held against its tool.

`aws` against the AWS CLI's tables, `ip-remediator` against its parser, `make` against the Makefile. What `sam` and
`kubectl` know, they say themselves: tests/contract/cli/test_documented_commands.py asks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.unit.support.commands import (
    ROOT,
    aws_problem,
    commands,
    functions_of,
    indented_blocks,
    make_problem,
    our_problem,
    shell_blocks,
)

PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        ROOT / "onboarding" / "README.md",
        ROOT / "local" / "README.md",
        ROOT / "benchmarks" / "RESULTS.md",
    ]
)
# These mark code by indentation.
INDENTED = ("onboarding/README.md", "docs/cli.md", "docs/signals.md")
# Asked elsewhere, or of the shell itself.
OTHERS = {"sam", "kubectl", "helm", "eksctl", "source", "export", "echo", "date", "pre-commit"}
CHECKS: dict[str, Callable[..., str | None]] = {
    "aws": aws_problem,
    "ip-remediator": our_problem,
    "make": make_problem,
}
_INLINE = re.compile(r"`((?:ip-remediator|make|aws) [^`]+)`")
# What is abridged in a sentence is not there to be copied.
_ABRIDGED = re.compile(r"…|\.\.\.|[\[\]|]|\b[A-Z]$")


def in_blocks(page: str, *, indented: bool) -> list[str]:
    return [*shell_blocks(page), *(indented_blocks(page) if indented else ())]


def in_sentences(page: str) -> Iterator[str]:
    """Commands that are named in the text; they may lack what they need."""
    return (text for text in _INLINE.findall(page) if not _ABRIDGED.search(text))


def problems(page: str, *, indented: bool = False) -> list[str]:
    blocks = in_blocks(page, indented=indented)
    own = {name for block in blocks for name in functions_of(block)} | OTHERS
    result = [(words, True) for block in blocks for words in commands(block) if words[0] not in own]
    result += [(words, False) for text in in_sentences(page) for words in commands(text) if words[0] not in own]
    return [f"{' '.join(words)}: {why}" for words, whole in result if (why := problem(words, whole=whole))]


def problem(words: list[str], *, whole: bool) -> str | None:
    check = CHECKS.get(words[0])
    return check(words[1:], whole=whole) if check else "nobody checks this program"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_its_tool_knows(page: object) -> None:
    name = str(page.relative_to(ROOT))
    assert problems(page.read_text(), indented=name in INDENTED) == []


def test_the_pages_have_commands() -> None:
    blocks = [block for page in PAGES for block in in_blocks(page.read_text(), indented=False)]
    every = [words for block in blocks for words in commands(block)]
    assert len(every) > 80
    assert {"aws", "ip-remediator", "make", "sam", "kubectl"} <= {words[0] for words in every}


@pytest.mark.parametrize(
    "wrong",
    [
        "```bash\naws eks describe-clusters\n```",
        "```bash\nX=$(aws eks describe-cluster --nam shop)\n```",
        "```bash\nip-remediator statu latest\n```",
        "```console\n$ make dmo\n```",
        "```bash\noutput() { aws cloudformation describe-stack; }\n```",
        "```bash\nkubectl get pods -o json | ip-remediator signal -\n```",
        "```bash\nterraform apply\n```",
        "Run `ip-remediator rollbak latest`.",
        "Run `make tets`.",
    ],
)
def test_given_a_misspelt_command_then_it_is_found(wrong: str) -> None:
    assert problems(wrong)
