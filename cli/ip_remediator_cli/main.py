"""Entry point: parses, runs one command, turns errors into one line and an exit status."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from ip_remediator_cli.errors import FAILED, OK, CommandError
from ip_remediator_cli.parser import build_parser

if TYPE_CHECKING:
    from argparse import Namespace

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `argv` (default: the process's) and returns the exit status."""
    # pydantic would read the metadata of every installed package to find plugins, which nobody here uses.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _prepare_streams()
    # A start makes many objects that stay: to look for garbage among them every 700 takes a tenth of its time.
    gc.set_threshold(100_000)
    words = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parsed(words)
        run: Callable[[Namespace], int] = importlib.import_module(arguments.module).run
        status = run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, say) has enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if "--debug" in words:
            raise
        return _report(error)
    return status


def _prepare_streams() -> None:
    """A stream that the shell closed (`>&-`), None in Python, becomes /dev/null; letters that the locale does not have
    are escaped, because a name from a cluster must not end the command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _parsed(words: Sequence[str]) -> Namespace:
    """`help COMMAND` is the same as `COMMAND --help`."""
    parser = build_parser()
    arguments = parser.parse_args([*words[1:], "--help"] if words and words[0] == "help" else words)
    if arguments.command is None:
        parser.error("name a command, such as `ip-remediator status`")
    return arguments


def _report(error: Exception) -> int:
    # Imports botocore, which commands that work off-line do without.
    from ip_remediator_cli.explain import explained  # noqa: PLC0415

    reported = error if isinstance(error, CommandError) else explained(error)
    print(f"error: {' '.join(str(reported).split())}", file=sys.stderr)
    return reported.status if isinstance(reported, CommandError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
