"""What can be typed. Each command is a module with `run(arguments) -> exit status`, imported when it is asked for."""

from __future__ import annotations

import argparse
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import NoReturn

from ip_remediator_cli.errors import BAD_INPUT

DEFAULT_STACK = "eks-ip-remediator"
STDIN = "-"
# Beside the code, so that an installed package has it too; onboarding/rbac.yaml links to it.
_RBAC = Path(__file__).with_name("rbac.yaml")
# As `planning.REQUESTED_STRATEGIES`, which is not imported: the parser is to be there at once.
_STRATEGIES = ("custom-networking", "subnet-discovery", "node-group", "auto")
_EXIT_STATUS = """\
exit status: 0 done (diagnose, plan: curable), 1 failed, 2 bad input, 3 not needed (no shortage), 4 not curable"""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the rest of the tool does."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message} (see `{self.prog} --help`)\n")


def build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="ip-remediator",
        description="Pod IP exhaustion on Amazon EKS: look, plan, cure, undo.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(parser, default=None)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLineParser)
    _add_offline(commands)
    _add_incident(commands)
    _add_onboarding(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The options that may stand before or after the command."""
    parser.add_argument("--region", default=default, help="AWS region (default: as the AWS CLI finds it)")
    parser.add_argument("--profile", default=default, help="AWS profile")
    parser.add_argument("--debug", action="store_true", default=default or False, help="show the traceback of an error")


def _command(commands: argparse._SubParsersAction[OneLineParser], name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(module=f"ip_remediator_cli.{name}")
    # Not given after the command: what stood before it counts.
    _add_common(parser, default=argparse.SUPPRESS)
    return parser


def _add_offline(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    snapshot = _command(commands, "snapshot", "Read the facts about a cluster and its VPC into one JSON document.")
    snapshot.add_argument("--cluster", required=True, help="name of the EKS cluster")
    snapshot.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")

    diagnose = _command(commands, "diagnose", "Say what is wrong, from a snapshot, off-line.")
    plan = _command(commands, "plan", "Say what would be done, from a snapshot, off-line.")
    for parser in (diagnose, plan):
        parser.add_argument(
            "--snapshot", required=True, metavar="FILE", help="snapshot document, or - for standard input"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "--cause", action="append", default=[], help="a cause that signals proved (see `ip-remediator signals`)"
        )
        parser.add_argument(
            "--signals", metavar="FILE", help="events, alarms or log records of the cluster: what they prove counts"
        )
    plan.add_argument(
        "--exclude",
        type=_cidr,
        action="append",
        default=[],
        metavar="CIDR",
        help="a range to keep clear of; repeatable",
    )
    plan.add_argument(
        "--pool",
        type=_cidr,
        action="append",
        metavar="CIDR",
        help="where to take the block; repeatable (100.64.0.0/10)",
    )
    plan.add_argument("--strategy", choices=_STRATEGIES, help="how pods get the addresses (custom-networking)")

    signals = _command(commands, "signals", "Read events, alarms or log records, and say what each proves.")
    signals.add_argument("file", metavar="FILE", help="a JSON document, a list, or JSON lines; - for standard input")
    signals.add_argument("--cluster", help="the cluster of Kubernetes Events that do not name it")


def _add_incident(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    start = _command(commands, "start", "Start a remediation by hand.")
    start.add_argument("--cluster", required=True, help="name of the EKS cluster")
    start.add_argument("--mode", choices=("observe", "approve", "auto"), help="instead of the stack's DefaultMode")
    start.add_argument("--reason", help="for the incident's record")
    start.add_argument("--block", metavar="CIDR", help="use this block, not a free one of the pools")
    start.add_argument("--zone", action="append", dest="zones", metavar="ZONE", help="serve only this zone; repeatable")
    start.add_argument(
        "--strategy", choices=_STRATEGIES, help="how pods get the addresses (the cluster's tag, or the stack's)"
    )
    start.add_argument("--dry-run", action="store_true", default=None, help="end with the plan, change nothing")
    start.add_argument("--wait", action="store_true", help="follow it to its end")

    status = _command(
        commands, "status", "Show an incident: its record and timeline. Without options: each cluster's latest."
    )
    subject = status.add_mutually_exclusive_group()
    subject.add_argument("--cluster", help="the latest incident of this cluster")
    subject.add_argument("--incident", help="the incident of this id")
    status.add_argument("--json", action="store_true", help="print JSON")

    rollback = _command(commands, "rollback", "Undo what an incident changed, and give its block back.")
    rollback.add_argument("--incident", required=True, help="id of the incident")
    rollback.add_argument("--yes", action="store_true", help="confirm it now, instead of by a click in Slack")
    rollback.add_argument("--evict", action="store_true", help="move pods off the block; disruption budgets decide")
    rollback.add_argument("--wait", action="store_true", help="follow it to its end")

    replace = _command(commands, "replace", "Replace the nodes for which new subnets come too late: no free ENI slot.")
    replace.add_argument("--incident", required=True, help="id of the incident, which names the nodes")
    replace.add_argument(
        "--node", action="append", dest="nodes", metavar="NODE", help="only this one of them; repeatable"
    )
    replace.add_argument("--yes", action="store_true", help="confirm it now, instead of by a click in Slack")
    replace.add_argument("--wait", action="store_true", help="follow it to its end")
    for parser in (start, status, rollback, replace):
        _add_stack(parser)


def _add_onboarding(commands: argparse._SubParsersAction[OneLineParser]) -> None:
    onboard = _command(
        commands, "onboard", "Give the deployed functions access to a cluster. Can be run again at any time."
    )
    offboard = _command(commands, "offboard", "Take that access away again.")
    for parser in (onboard, offboard):
        parser.add_argument("--cluster", required=True, help="name of the EKS cluster")
        _add_stack(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument(
            "--rbac", type=Path, default=_RBAC, metavar="FILE", help="the manifests (onboarding/rbac.yaml)"
        )


def _add_stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stack", default=DEFAULT_STACK, help=f"CloudFormation stack it is deployed as ({DEFAULT_STACK})"
    )


def _cidr(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{error}; give a CIDR such as 100.64.0.0/10") from error
