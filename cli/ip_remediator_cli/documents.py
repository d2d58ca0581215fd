"""Reading files and JSON documents that people wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from ip_remediator.common.document import Document, DocumentT, typed_by_people
from ip_remediator.common.wrong_input import first_problem, in_words
from ip_remediator_cli.errors import BadInput
from ip_remediator_cli.parser import STDIN


def read_text(name: str, option: str) -> str:
    """The text of a file, or of standard input for "-". Raises BadInput that names `option`."""
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{option}: {name} cannot be read: {error.strerror}; give a readable file, or -") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{option}: {name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def in_format(output: str, document: object) -> str:
    """`document` as the `--output` that was asked for: json or yaml."""
    if output == "yaml":
        import yaml  # noqa: PLC0415 - most commands do without

        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip("\n")
    return json.dumps(document, indent=2)


def write_text(file: Path, text: str, option: str) -> None:
    """Raises BadInput that names `option`."""
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"{option}: {file} cannot be written: {error.strerror}; name a file in one of your folders"
        ) from error


def parse_json(text: str, where: str) -> object:
    """Raises BadInput that names `where`, with line and column."""
    if not text.strip():
        raise BadInput(f"{where} is empty; give the whole document")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise BadInput(f"{where} is not JSON from {place} on; check that the whole document was saved") from error
    except RecursionError as error:
        raise BadInput(f"{where} is nested too deeply to be read; give the document itself") from error
    except ValueError as error:  # Python's limit for the digits of an integer
        raise BadInput(f"{where} holds a number of thousands of digits; correct it") from error


def validated(
    kind: type[DocumentT], document: object, where: str, options: Mapping[str, str] | None = None
) -> DocumentT:
    """`document` as `kind`. `options`: the option that each field was typed as.

    Raises:
        BadInput: names the first wrong field or its option, and what it may be.
    """
    try:
        return typed_by_people(kind, document)
    except ValidationError as error:
        problem = first_problem(error)
        path = [str(part) for part in problem["loc"]]
        if path and options and path[0] in options:
            raise BadInput(f"{options[path[0]]}: {in_words(problem)}") from error
        field = f"field {'.'.join(path)}" if path else "the document"
        raise BadInput(f"{where}: {field}: {in_words(problem)}; {_remedy(problem['type'], kind, path)}") from error


def _remedy(problem: str, kind: type[Document], path: list[str]) -> str:
    if problem == "missing":
        return "add it"
    if problem == "extra_forbidden" and len(path) == 1:
        return f"remove or rename it; there are {', '.join(kind.model_fields)}"
    if problem == "extra_forbidden":
        return "remove or rename it"
    return "correct it"
