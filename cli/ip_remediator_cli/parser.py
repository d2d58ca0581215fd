"""What can be typed. A command is a module of `commands` with `run(arguments) -> exit status`, imported when used."""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ip_remediator_cli.errors import BAD_INPUT
from ip_remediator_cli.option_types import ago, block_prefix, cidr, prefix, reason, url, vpc_id

DEFAULT_STACK = "eks-ip-remediator"
STDIN = "-"
# Beside the code, so that an installed package has it too; onboarding/rbac.yaml links to it.
RBAC_FILE = Path(__file__).with_name("rbac.yaml")
# As `planning.model.REQUESTED_STRATEGIES`, which is not imported: the parser is to be there at once.
_STRATEGIES = ("custom-networking", "subnet-discovery", "node-group", "reclaim-warm", "auto")
_FORMATS = ("table", "json", "yaml")
_SHELLS = ("bash", "zsh", "fish")
_EXIT_STATUS = """\
examples:
  ip-remediator incidents --open
  ip-remediator status latest
  ip-remediator snapshot --cluster shop | ip-remediator plan --snapshot -

exit status: 0 done (diagnose, plan: curable), 1 failed, 2 bad input, 3 not needed (no shortage), 4 not curable"""

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the rest of the tool does, and what may have been meant."""

    def error(self, message: str) -> NoReturn:
        """Ends the command with exit status 2 and one line on standard error, without the usage."""
        self.exit(BAD_INPUT, f"error: {message} (see `{self.prog} --help`)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """argparse ignores it when help could not be written: a full disk would look like success."""
        if file is not sys.stdout:
            super()._print_message(message, file)
            return
        file.write(message)
        file.flush()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """A command refuses what it does not know itself: it knows best what may have been meant."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unexpected {unknown[0]!r}{self._meant(unknown[0])}")
        return parsed, unknown

    def _meant(self, word: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes waits for it

        options = [option for option in self._option_string_actions if option.startswith("--")]
        near = get_close_matches(word.partition("=")[0], options, n=1)
        return f": did you mean {near[0]}?" if near else ""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if not choices or value in choices:
            return
        from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes waits for it

        near = get_close_matches(str(value), choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(choices)}"
        raise argparse.ArgumentError(action, f"{value!r} is not known: {hint}")


@cache
def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands, made once."""
    parser = OneLineParser(
        prog="ip-remediator",
        description="Diagnose, plan, remediate and undo pod IP exhaustion on Amazon EKS.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    _add_common(parser, default=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=OneLineParser)
    _add_offline(commands)
    _add_looking(commands)
    _add_report(commands)
    _add_doctor(commands)
    _add_deciding(commands)
    _add_changing(commands)
    _add_stuck(commands)
    _add_onboarding(commands)
    _add_completion(commands)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: reading a package's metadata takes longer than the parser."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"ip-remediator {installed_version()}", flush=True)
        parser.exit()


def installed_version() -> str:
    """The version of the installed package."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see _Version

    try:
        return version("eks-ip-remediator")
    except PackageNotFoundError:
        return "(not installed as a package)"


def _add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The options that may stand before or after the command."""
    group = parser.add_argument_group("AWS and errors")
    group.add_argument("--region", default=default, help="AWS region (default: as the AWS CLI finds it)")
    group.add_argument("--profile", default=default, help="AWS profile")
    group.add_argument("--debug", action="store_true", default=default or False, help="show the traceback of an error")


def _command(
    commands: Commands[OneLineParser], name: str, text: str, *examples: str, module: str = ""
) -> argparse.ArgumentParser:
    """A command without its options; `examples` are what follows the program's name."""
    shown = "\n".join(["examples:", *(f"  ip-remediator {example}" for example in examples)])
    parser = commands.add_parser(
        name, help=text, description=text, epilog=shown, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(module=f"ip_remediator_cli.commands.{module or name}")
    return parser


def _end(parser: argparse.ArgumentParser, *, stack: bool = True) -> None:
    """The options that every command has, after its own."""
    if stack:
        parser.add_argument(
            "--stack", default=DEFAULT_STACK, help=f"CloudFormation stack it is deployed as ({DEFAULT_STACK})"
        )
    # Not given after the command: what stood before it counts.
    _add_common(parser, default=argparse.SUPPRESS)


def _add_offline(commands: Commands[OneLineParser]) -> None:
    snapshot = _command(
        commands,
        "snapshot",
        "Read the facts about a cluster and its VPC into one JSON document.",
        "snapshot --cluster shop --output shop.json",
    )
    snapshot.add_argument("--cluster", required=True, help="name of the EKS cluster")
    snapshot.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    _end(snapshot, stack=False)

    diagnose = _command(
        commands, "diagnose", "Say what is wrong, from a snapshot. Works offline.", "diagnose --snapshot shop.json"
    )
    _add_snapshot(diagnose)
    _end(diagnose, stack=False)
    _add_plan(commands)

    signals = _command(
        commands,
        "signals",
        "Read events, alarms or log records, and say what each proves.",
        "signals events.json",
        "signals - --cluster shop < events.json",
    )
    signals.add_argument("file", metavar="FILE", help="a JSON document, a list, or JSON lines; - for standard input")
    signals.add_argument("--cluster", help="the cluster of records that name none")
    signals.add_argument(
        "--explain", action="store_true", help="say for each record which rule decided, and what would make it count"
    )
    _end(signals, stack=False)


def _add_snapshot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshot", required=True, metavar="FILE", help="snapshot document, or - for standard input")
    _add_output(parser)
    parser.add_argument("--map", type=Path, metavar="FILE", help="draw the VPC's address space into an SVG file")
    parser.add_argument(
        "--cause", action="append", default=[], help="a cause that signals proved (see `ip-remediator signals`)"
    )
    parser.add_argument(
        "--signals",
        metavar="FILE",
        help="events, alarms or log records of the cluster; their causes count in the diagnosis",
    )


def _add_plan(commands: Commands[OneLineParser]) -> None:
    plan = _command(
        commands,
        "plan",
        "Say what a remediation would change, from a snapshot. Works offline.",
        "plan --snapshot shop.json",
        "plan --snapshot shop.json --strategy subnet-discovery --exclude 100.100.0.0/16",
    )
    _add_snapshot(plan)
    plan.add_argument(
        "--exclude",
        type=cidr,
        action="append",
        default=[],
        metavar="CIDR",
        help="a range not to use; repeatable",
    )
    plan.add_argument(
        "--pool",
        type=cidr,
        action="append",
        metavar="CIDR",
        help="where to take the block; repeatable (100.64.0.0/10)",
    )
    plan.add_argument("--strategy", choices=_STRATEGIES, help="how pods get the addresses (custom-networking)")
    plan.add_argument(
        "--block-prefix",
        type=block_prefix,
        metavar="N",
        help="prefix length of a new CIDR, or needed (16, unless CG-NAT is routed between VPCs)",
    )
    plan.add_argument("--subnet-prefix", type=prefix, metavar="N", help="prefix length of each pod subnet (19)")
    plan.add_argument(
        "--cluster-subnets",
        action="store_true",
        help="plan as if ClusterSubnetsOf named the cluster, so that its own subnets may be replaced",
    )
    _end(plan, stack=False)


def _add_looking(commands: Commands[OneLineParser]) -> None:
    status = _command(
        commands,
        "status",
        "Show an incident: its record, plan and timeline. Without options: the latest of each cluster.",
        "status latest",
        "status shop-20260301-120000-a1b2c3 --output json",
        "status --cluster shop --watch",
        "status latest --callers",
    )
    _add_incident(status, "show this one, or latest", cluster=True)
    status.add_argument("--watch", action="store_true", help="print it again until it is closed")
    status.add_argument(
        "--callers",
        action="store_true",
        help="ask CloudTrail, with your permissions, who else changed what the incident works on in AWS",
    )
    _add_output(status)
    _end(status)

    incidents = _command(
        commands,
        "incidents",
        "List incidents, the newest first.",
        "incidents --open",
        "incidents --cluster shop --since 7d --output yaml",
    )
    incidents.add_argument("--cluster", help="only those of this cluster")
    incidents.add_argument(
        "--open", action="store_true", help="only those that are open, ask something, or are being changed"
    )
    incidents.add_argument("--since", type=ago, metavar="TIME", help="only those opened since then: 30m, 12h, 7d")
    incidents.add_argument("--watch", action="store_true", help="print the list again every five seconds")
    _add_output(incidents)
    _end(incidents)


def _add_report(commands: Commands[OneLineParser]) -> None:
    report = _command(
        commands,
        "report",
        "Write an incident as one HTML page: what happened, evidence, changes, risks, timeline.",
        "report latest",
        "report --cluster shop --file /tmp/shop.html",
    )
    _add_incident(report, "the incident, or latest", cluster=True)
    report.add_argument("--file", type=Path, metavar="FILE", help="write there (INCIDENT.html)")
    _end(report)


def _add_doctor(commands: Commands[OneLineParser]) -> None:
    doctor = _command(
        commands,
        "doctor",
        "Check a deployed stack, and a cluster, and say what does not work. Changes nothing.",
        "doctor",
        "doctor --cluster shop --output json",
    )
    doctor.add_argument("--cluster", help="check this cluster, too")
    doctor.add_argument(
        "--slack-url", type=url, metavar="URL", help="Slack's request URL, if it is not the one of the stack's outputs"
    )
    _add_output(doctor)
    _end(doctor)


def _add_deciding(commands: Commands[OneLineParser]) -> None:
    for name, text in (
        ("approve", "Approve the plan, rollback or replacement that an incident waits for."),
        ("reject", "Reject the plan, rollback or replacement that an incident waits for. Nothing is changed."),
    ):
        parser = _command(commands, name, text, f"{name} latest", f"{name} --cluster shop --yes", module="decide")
        parser.set_defaults(approved=name == "approve", evict=False)
        _add_incident(parser, "the incident with the open question, or latest", cluster=True)
        parser.add_argument(
            "--plan", metavar="HASH", help="answer only if the question is about the plan with this hash"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask at the terminal")
        if name == "approve":
            parser.add_argument(
                "--evict",
                action="store_true",
                help="for a rollback: evict pods from the block; disruption budgets decide",
            )
        _end(parser)


def _add_changing(commands: Commands[OneLineParser]) -> None:
    _add_start(commands)
    rollback = _command(
        commands,
        "rollback",
        "Undo what an incident changed, and release its block.",
        "rollback latest --wait",
        "rollback shop-20260301-120000-a1b2c3 --yes --evict",
    )
    _add_incident(rollback, "the incident, or latest")
    rollback.add_argument("--evict", action="store_true", help="evict pods from the block; disruption budgets decide")
    replace = _command(
        commands,
        "replace",
        "Replace nodes that can't use the new subnets because every ENI slot is taken.",
        "replace latest --wait",
        "replace latest --node ip-10-0-0-4.eu-west-1.compute.internal",
    )
    _add_incident(replace, "the incident that names the nodes, or latest")
    replace.add_argument("--node", action="append", dest="nodes", metavar="NODE", help="only this node; repeatable")
    for parser in (rollback, replace):
        parser.add_argument(
            "--yes", action="store_true", help="confirm it now, instead of by a click in Slack or by `approve`"
        )
        parser.add_argument("--wait", action="store_true", help="wait for the end, and print the timeline")
        _end(parser)


def _add_stuck(commands: Commands[OneLineParser]) -> None:
    close = _command(
        commands,
        "close",
        "Close an incident that no execution works on: release its lock, marker and block, name what still stands.",
        "close shop-20260301-120000-a1b2c3 --reason 'the execution was stopped'",
    )
    _add_incident(close, "the incident, or latest", cluster=True)
    close.add_argument("--reason", type=reason, required=True, help="for the incident's record")
    unlock = _command(
        commands,
        "unlock",
        "Release the lock of a VPC or the marker of a cluster, if its holder no longer runs.",
        "unlock --vpc vpc-0a1b2c3d",
        "unlock --cluster shop --force",
        module="close",
    )
    subject = unlock.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "--vpc", type=vpc_id, metavar="VPC", help="the lock of this VPC: one incident writes to it at a time"
    )
    subject.add_argument("--cluster", help="the marker of this cluster: it has one open incident at a time")
    unlock.add_argument("--force", action="store_true", help="take it from an incident that still runs")
    unlock.add_argument("--yes", action="store_true", help="with --force: do not ask at the terminal")
    for parser in (close, unlock):
        _end(parser)


def _add_start(commands: Commands[OneLineParser]) -> None:
    start = _command(
        commands,
        "start",
        "Start a remediation by hand.",
        "start --cluster shop --mode observe --wait",
        "start --cluster shop --block 100.64.16.0/20 --reason 'launch day'",
    )
    start.add_argument("--cluster", required=True, help="name of the EKS cluster")
    start.add_argument("--mode", choices=("observe", "approve", "auto"), help="instead of the stack's DefaultMode")
    start.add_argument("--reason", help="for the incident's record")
    start.add_argument("--block", metavar="CIDR", help="use this block instead of a free one of the pools")
    start.add_argument("--zone", action="append", dest="zones", metavar="ZONE", help="serve only this zone; repeatable")
    start.add_argument(
        "--strategy", choices=_STRATEGIES, help="how pods get the addresses (the cluster's tag, or the stack's)"
    )
    start.add_argument("--dry-run", action="store_true", default=None, help="end with the plan, change nothing")
    start.add_argument("--wait", action="store_true", help="wait for the end, and print the timeline")
    _end(start)


def _add_onboarding(commands: Commands[OneLineParser]) -> None:
    onboard = _command(
        commands,
        "onboard",
        "Give the deployed functions access to a cluster. Safe to repeat.",
        "onboard --cluster shop --dry-run",
    )
    offboard = _command(commands, "offboard", "Remove the functions' access to a cluster.", "offboard --cluster shop")
    for parser in (onboard, offboard):
        parser.add_argument("--cluster", required=True, help="name of the EKS cluster")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument(
            "--rbac", type=Path, default=RBAC_FILE, metavar="FILE", help="the manifests (onboarding/rbac.yaml)"
        )
        _end(parser)


def _add_completion(commands: Commands[OneLineParser]) -> None:
    completion = _command(
        commands,
        "completion",
        "Print a script that completes commands and options in your shell.",
        "completion bash > ~/.local/share/bash-completion/completions/ip-remediator",
        "completion zsh > ~/.zfunc/_ip-remediator",
        "completion fish > ~/.config/fish/completions/ip-remediator.fish",
    )
    completion.add_argument("shell", choices=_SHELLS, help="your shell")
    _add_common(completion, default=argparse.SUPPRESS)


def _add_incident(parser: argparse.ArgumentParser, text: str, *, cluster: bool = False) -> None:
    """The incident, by position or by option: scripts of earlier releases use the option."""
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("id", nargs="?", metavar="INCIDENT", help=text)
    subject.add_argument("--incident", metavar="INCIDENT", help="same as INCIDENT")
    if cluster:
        subject.add_argument("--cluster", help="the latest incident of this cluster")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--output", "-o", choices=_FORMATS, default="table", help="format of the output (table)")
    group.add_argument("--json", action="store_const", dest="output", const="json", help="same as --output json")
