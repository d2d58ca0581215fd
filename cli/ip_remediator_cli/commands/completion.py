"""`ip-remediator completion`: a script for the shell, made by shtab of what the parser knows."""

from __future__ import annotations

from argparse import Namespace

import shtab

from ip_remediator_cli.errors import OK
from ip_remediator_cli.parser import build_parser


def run(arguments: Namespace) -> int:
    """Prints the completion script of a shell; returns the exit status."""
    print(shtab.complete(build_parser(), shell=arguments.shell))  # nosec B604 - the name of a shell
    return OK
