"""Errors that end a command, and the exit status of each."""

from __future__ import annotations

OK = 0
FAILED = 1
BAD_INPUT = 2
NOT_NEEDED = 3
NOT_CURABLE = 4


class CommandError(Exception):
    """Ends the command with one line for people: what is wrong, and what to do about it."""

    status = FAILED


class BadInput(CommandError):
    """An option, a file or a field of a document is wrong; the message names it."""

    status = BAD_INPUT
