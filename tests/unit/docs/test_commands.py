"""Every command in README and docs can be run as it is written: each is held against its tool.

The AWS CLI checks the arguments of `aws`, the parser those of `ip-remediator`, the Makefile the targets of `make`, the
templates the parameters of deployments. What `sam` and `kubectl` know, they say themselves:
tests/contract/cli/test_documented_commands.py asks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ip_remediator_cli.parser import build_parser
from tests.unit.support.commands import (
    ROOT,
    aws_problem,
    commands,
    documented_problem,
    functions_of,
    indented_blocks,
    make_problem,
    missing_files,
    our_problem,
    python_problem,
    sam_problem,
    shell_blocks,
)

# Every page but those that came with the data of tests.
_FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "tests"]
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in _FOLDERS for page in folder.rglob("*.md"))])
# These mark code by indentation.
INDENTED = ("onboarding/README.md", "docs/cli.md", "docs/signals.md")
# Asked elsewhere, or of the shell itself.
OTHERS = {"kubectl", "source", "export", "echo", "date", "pre-commit", "pip", "pipx", "curl", "setup-envtest"}
CHECKS: dict[str, Callable[..., str | None]] = {
    "aws": aws_problem,
    "ip-remediator": our_problem,
    "make": make_problem,
    "sam": sam_problem,
    "python": python_problem,
    "eksctl": partial(documented_problem, "eksctl"),
    "helm": partial(documented_problem, "helm"),
}
PROGRAMS = tuple(CHECKS) + tuple(sorted(OTHERS))
_INLINE = re.compile(rf"`((?:[A-Z_]+=\S+ )*(?:{'|'.join(PROGRAMS)}) [^`]+)`")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LANGUAGES = {"bash", "console", "json", "yaml", "mermaid", "text"}
# What is abridged in a sentence is not there to be copied.
_ABRIDGED = re.compile(r"…|\.\.\.")


def in_blocks(page: str, *, indented: bool) -> list[str]:
    return [*shell_blocks(page), *(indented_blocks(page) if indented else ())]


def in_sentences(page: str) -> Iterator[str]:
    """Commands that are named in the text; they may lack what they need."""
    return (text for text in _INLINE.findall(page) if not _ABRIDGED.search(text))


def problems(page: str, *, indented: bool = False) -> list[str]:
    blocks = in_blocks(page, indented=indented)
    own = {name for block in blocks for name in functions_of(block)} | OTHERS
    result = [(words, True) for block in blocks for words in commands(block) if words[0] not in own]
    # With an option it is a command to be copied; without, it may be the name of one.
    result += [
        (words, any(word.startswith("--") for word in words))
        for text in in_sentences(page)
        for words in commands(text)
        if words[0] not in own
    ]
    return [f"{' '.join(words)}: {why}" for words, whole in result if (why := problem(words, whole=whole))]


def problem(words: list[str], *, whole: bool) -> str | None:
    check = CHECKS.get(words[0])
    if check is None:
        return "nobody checks this program"
    missing = missing_files(words)
    if missing or words[0] in ("eksctl", "helm"):
        return missing or check(words[1:])
    return check(words[1:], whole=whole)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_its_tool_knows(page: Path) -> None:
    name = str(page.relative_to(ROOT))
    assert problems(page.read_text(), indented=name in INDENTED) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is_and_none_but_those_of_a_shell_has_commands(page: Path) -> None:
    """A block without a language would be checked by nobody."""
    blocks = _FENCE.findall(page.read_text())
    assert [language for language, _ in blocks if language not in _LANGUAGES] == []
    lines = [line for language, body in blocks if language == "text" for line in body.splitlines()]
    assert [
        line for line in lines if line.strip().removeprefix("$ ").startswith(tuple(f"{p} " for p in PROGRAMS))
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_marks_code_by_indentation_only_where_that_is_read(page: Path) -> None:
    name = str(page.relative_to(ROOT))
    first_words = [words[0] for block in indented_blocks(page.read_text()) for words in commands(block) if words]
    assert name in INDENTED or not set(first_words) & set(PROGRAMS)


def test_the_table_of_commands_names_every_command_with_options_that_it_has() -> None:
    """Its cells are abridged, so nobody can parse them as they stand."""
    [subparsers] = [action.choices for action in build_parser()._actions if isinstance(action.choices, dict)]
    rows = re.findall(r"^\| (`.*?) \|(?<!\\\|) ", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    shown: dict[str, set[str]] = {}
    for words in (text.split() for row in rows for text in re.findall(r"`([^`]+)`", row)):
        shown.setdefault(words[0], set()).update(re.findall(r"--[a-z-]+", " ".join(words)))
    assert set(shown) == set(subparsers) - {"completion"}
    for name, options in shown.items():
        assert options <= set(subparsers[name]._option_string_actions), name


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
        "```bash\naws ec2 create-tags --resources subnet-1 --tags Kye=a,Value=b\n```",
        "```bash\naws ssm put-parameter --name /x --type SecretString --value y\n```",
        "```bash\naws ssm put-parameter --name /x --type String --value file://other.json\n```",
        "```bash\naws ssm put-parameter --name /x --type String --value y --query 'A[['\n```",
        "```bash\nsam deploy --parameter-overrides HealthTopic=x\n```",
        "```bash\naws cloudformation deploy --stack-name x --template-file onboarding/cluster.yaml "
        "--parameter-overrides Clustername=x\n```",
        "```bash\nhelm upgrade --instal x y\n```",
        "```bash\neksctl utils associate-oidc-provider --cluster x\n```",
        "Run `python -m benchmarks.parse`.",
        "Run `sam deploy --parameter-overrides Pool=100.64.0.0/12`.",
        "Run `aws eks describe-cluster --name`.",
    ],
)
def test_given_a_misspelt_command_then_it_is_found(wrong: str) -> None:
    assert problems(wrong)
