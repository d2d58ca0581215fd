"""Commands that are written down for people, held against the tools that they call.

Nothing is sent: the AWS CLI itself parses and checks the arguments, and its request is stopped before it leaves.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from awscli.clidriver import ServiceOperation
from botocore.awsrequest import AWSResponse
from botocore.model import Shape

from ip_remediator_cli.parser import build_parser

ROOT = Path(__file__).parents[3]
GLOBAL = ("--query", "--output", "--region", "--profile", "--no-cli-pager", "--filters", "--cli-binary-format")
PLACEHOLDER = re.compile(r"<[^<>]*>")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    \S.*\n(?:^(?:    .*)?\n)*)", re.MULTILINE)
# What is checked for what it stands for has a value.
_URL = re.compile(r"\$\{?\w+_URL\}?")
_ARITHMETIC = re.compile(r"\$\(\([^()]*(?:\$\([^()]*\)[^()]*)*\)\)")
_INNERMOST = re.compile(r"\$\(([^()]*(?:\(\)[^()]*)*)\)")
_SHELLS = ("bash", "console", "sh", "")
_ENDS = {"|", ";", "&&", "||", "&"}
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)


# What pages name as `file://…`.
_FILES = ("slack-secret.json", "packaged.yaml")
_OWN_FILE = re.compile(r"(?:onboarding|slack|docs|scripts|layers|local|benchmarks)/[\w./-]+")


@cache
def _driver() -> Any:
    driver = pytest.importorskip("awscli.clidriver").create_clidriver()
    driver.session.register("before-parameter-build.*.*", _refuse_unknown_values)
    driver.session.register("before-call.*.*", lambda **_: (AWSResponse("", 200, {}, None), {}))
    return driver


def _refuse_unknown_values(params: dict[str, Any], model: Any, **_: object) -> None:
    """botocore leaves it to AWS to refuse the value of an enumeration."""
    for name, value in params.items():
        shape = model.input_shape.members.get(name)
        if shape is not None:
            _refuse_outside_of(shape, value)


def _refuse_outside_of(shape: Shape, value: object) -> None:
    if shape.type_name == "list" and isinstance(value, list):
        for item in value:
            _refuse_outside_of(shape.member, item)
    elif shape.type_name == "structure" and isinstance(value, dict):
        for name, member in value.items():
            _refuse_outside_of(shape.members[name], member)
    elif getattr(shape, "enum", None) and value not in shape.enum:
        raise ValueError(f"{value!r} is none of {shape.enum}")


def _dry_run(words: list[str]) -> str | None:
    """What the AWS CLI itself says against the arguments, shorthand and file:// included."""
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1"}
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        for name, value in keys.items():
            patched.setenv(name, value)
        patched.delenv("AWS_ENDPOINT_URL", raising=False)
        patched.chdir(folder)
        for name in _FILES:
            Path(name).write_text("{}")
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                status = _driver().main(_without_profile(words))
            except SystemExit as ended:
                status = ended.code
    return output.getvalue().strip().splitlines()[-1] if status else None


def _without_profile(words: list[str]) -> list[str]:
    """A profile is read before anything else, and those of the pages are not on this machine."""
    at = words.index("--profile") if "--profile" in words else len(words)
    return words[:at] + words[at + 2 :]


def aws_problem(words: list[str], *, whole: bool = True, values: bool = True) -> str | None:
    """What the AWS CLI says against `aws` with these words. Not `whole`: options may be missing. Not `values`: a value
    may stand for another one."""
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
    if unknown or missing:
        return f"unknown {unknown}, missing {missing}"
    if whole and values and isinstance(table[operation], ServiceOperation):
        return _dry_run(words)
    return _unknown_parameters(arguments) if (service, operation) == ("cloudformation", "deploy") else None


def sam_problem(words: list[str], *, whole: bool = True) -> str | None:
    """Which parameter the template does not have. The options are asked of `sam` itself, in tests/contract/cli."""
    return _unknown_parameters(["--template-file", "template.yaml", *words]) if words[0] == "deploy" else None


def _unknown_parameters(words: list[str]) -> str | None:
    template = (ROOT / words[words.index("--template-file") + 1]).read_text()
    section = re.search(r"^Parameters:\n(.*?)^\S", template, re.MULTILINE | re.DOTALL)
    parameters = re.findall(r"^  (\w+):", section[1], re.MULTILINE) if section else []
    after = words[words.index("--parameter-overrides") + 1 :] if "--parameter-overrides" in words else []
    given = [word.partition("=")[0] for word in after if "=" in word and not word.startswith("--")]
    unknown = [name for name in given if name not in parameters]
    return f"the template has no parameter {unknown}" if unknown else None


# Programs that are not installed here: the options that their documentation names.
# https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html
# https://helm.sh/docs/helm/helm_upgrade
_DOCUMENTED = {
    ("eksctl", "utils", "associate-iam-oidc-provider"): {"--cluster", "--approve", "--region", "--profile"},
    ("helm", "upgrade"): {"--install", "--namespace", "--create-namespace", "--values", "--set", "--version"},
}


def documented_problem(program: str, words: list[str]) -> str | None:
    """What the documentation of a program that is not installed here says against these words."""
    for verb, options in _DOCUMENTED.items():
        if (program, *words)[: len(verb)] == verb:
            unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in options]
            return f"unknown {unknown}" if unknown else None
    return "nobody has read the documentation of this command"


def python_problem(words: list[str], *, whole: bool = True) -> str | None:
    """Which module or script there is not."""
    module = words[1] if words[0] == "-m" and len(words) > 1 else words[0].removesuffix(".py").replace("/", ".")
    return None if importlib.util.find_spec(module) else f"there is no module {module}"


def missing_files(words: list[str]) -> str | None:
    """Which file of this repository the words name that is not there."""
    missing = [word for word in words if _OWN_FILE.fullmatch(word) and not (ROOT / word).exists()]
    return f"there is no file {missing}" if missing else None


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
    for line in _lines(_URL.sub("https://example.com/", _ARITHMETIC.sub("900", block))):
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
