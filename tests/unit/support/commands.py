"""Commands that are written down for people, held against the tools that they call."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ip_remediator_cli.parser import build_parser

ROOT = Path(__file__).parents[3]
GLOBAL = ("--query", "--output", "--region", "--profile", "--no-cli-pager", "--filters", "--cli-binary-format")
PLACEHOLDER = re.compile(r"<[^<>]*>")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    \S.*\n(?:^(?:    .*)?\n)*)", re.MULTILINE)
_INNERMOST = re.compile(r"\$\(([^()]*(?:\(\)[^()]*)*)\)")
_SHELLS = ("bash", "console", "sh", "")
_ENDS = {"|", ";", "&&", "||", "&"}
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)


@cache
def _driver() -> Any:
    return pytest.importorskip("awscli.clidriver").create_clidriver()


def aws_problem(words: list[str], *, whole: bool = True) -> str | None:
    """What the AWS CLI's own tables say against `aws` with these words. Not `whole`: options may be missing."""
    service, operation, *arguments = (*words, "")[: max(2, len(words))]
    services = _driver()._get_command_table()
    if service not in services:
        return f"there is no service {service}"
    table = services[service]._get_command_table() if hasattr(services[service], "_get_command_table") else {}
    table = table or getattr(services[service], "subcommand_table", {})
    if operation not in table:
        return f"{service} has no operation {operation}" if whole or operation else None
    accepted = table[operation].arg_table
    options = [word.split("=")[0] for word in arguments if word.startswith("--")]
    unknown = [option for option in options if option[2:] not in accepted and option not in GLOBAL]
    missing = [
        name
        for name, about in accepted.items()
        if whole and about.required and f"--{name}" not in options and about.cli_name.startswith("--")
    ]
    return f"unknown {unknown}, missing {missing}" if unknown or missing else None


def our_problem(words: list[str], *, whole: bool = True) -> str | None:
    """What the parser of `ip-remediator` says against these words. Not `whole`: arguments may be missing."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            build_parser().parse_args(words)
    except SystemExit as ended:
        message = errors.getvalue().strip() if ended.code else ""
        return message if message and (whole or "are required" not in message) else None
    return None


def make_problem(words: list[str], *, whole: bool = True) -> str | None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"\$\((\w+)\)", makefile)) | {"KEEP", "PYTEST_FLAGS", "LOCAL_STATE"}
    for word in words:
        name, is_variable, _ = word.partition("=")
        if name not in (variables if is_variable else targets):
            return f"the Makefile has no {word}"
    return None


def shell_blocks(page: str) -> Iterator[str]:
    """The code blocks of a Markdown page that a shell is to run, without what is printed."""
    for indent, language, body in _FENCE.findall(page):
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        if language not in _SHELLS:
            continue
        prompts = [line.removeprefix("$ ") for line in lines if line.startswith(("$ ", "    "))]
        if any(line.startswith("$ ") for line in lines):
            yield "\n".join(prompts)
        elif language in ("bash", "sh"):
            yield "\n".join(lines)


def indented_blocks(page: str) -> Iterator[str]:
    """The code blocks of a page that marks them by indentation."""
    for block in _INDENTED.findall(_FENCE.sub("", page)):
        yield "\n".join(line.removeprefix("    ") for line in block.splitlines())


def commands(block: str) -> Iterator[list[str]]:
    """The words of each command of a block, those of `$(...)`, of pipes and of functions as well."""
    for line in _lines(block):
        yield from _commands_of_line(line)


def _lines(block: str) -> Iterator[str]:
    """The lines of a shell: a backslash and an open quote or substitution reach into the next one."""
    line = ""
    for part in block.replace("\\\n", " ").splitlines():
        line = f"{line} {part}" if line else part
        if _whole(line):
            yield line
            line = ""
    if line:
        yield line


def _whole(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return line.count("$(") <= line.count(")")


def _commands_of_line(line: str) -> Iterator[list[str]]:
    while inner := _INNERMOST.search(line):
        yield from _commands_of_line(inner[1])
        line = f"{line[: inner.start()]}VALUE{line[inner.end() :]}"
    lexer = shlex.shlex(PLACEHOLDER.sub("VALUE", line), posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token not in _ENDS:
            words.append(token)
            continue
        if command := _command(words):
            yield command
        words = []


def _command(words: list[str]) -> list[str]:
    """Without assignments, redirections and the frame of a function."""
    if len(words) > 1 and words[0].endswith("()"):
        words = words[2:]
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in (">", "<", ">>", "2>"):
            skip = True
        elif word != "}":
            kept.append(word)
    return kept


def functions_of(block: str) -> set[str]:
    return set(re.findall(r"^(\w+)\(\) \{", block, re.MULTILINE))
