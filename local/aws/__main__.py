"""Command line of the local AWS: ``python -m local.aws --help``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local.aws import environment, partitions, server
from local.aws.settings import DEFAULT_REGION, Settings


def parse(arguments: list[str]) -> Settings:
    """Settings from the command line; exits with a usage message when something is missing or wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m local.aws", description="An AWS API on this machine, loopback only."
    )
    parser.add_argument("--port", type=int, default=4566, help="port of the AWS endpoint (default 4566)")
    parser.add_argument(
        "--eks-endpoint-port",
        type=int,
        default=6443,
        help="port of the Kubernetes API that EKS clusters announce (default 6443)",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="folder for everything this process writes")
    parser.add_argument("--ca-file", type=Path, required=True, help="PEM file announced as the clusters' CA")
    parser.add_argument(
        "--region", default=DEFAULT_REGION, help=f"default region, whose partition all ARNs are of ({DEFAULT_REGION})"
    )
    parser.add_argument("--wait-scale", type=float, default=1.0, help="factor on Step Functions waits (default 1.0)")
    parser.add_argument(
        "--associating-seconds",
        type=float,
        default=0.5,
        help="how long a new VPC CIDR stays in state associating (default 0.5)",
    )
    parser.add_argument("--log", type=Path, help="log file (default: standard error)")
    parser.add_argument(
        "--code-dir",
        type=Path,
        help="where functions and layers are unpacked; servers may share it (default: in --state-dir)",
    )
    settings = Settings(**vars(parser.parse_args(arguments)))
    if not settings.ca_file.is_file():
        parser.error(f"--ca-file {settings.ca_file} does not exist; create it with local.pki")
    try:
        partitions.partition_of(settings.region)
    except ValueError as error:
        parser.error(f"--region: {error}")
    return settings


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit status 1 with a message when the port is taken."""
    settings = parse(sys.argv[1:])
    try:
        listener = server.listen(settings.port)
    except OSError as error:
        sys.exit(f"port {settings.port} of 127.0.0.1 cannot be used: {error.strerror}; choose another with --port")
    environment.prepare(settings)
    partitions.install(settings.region)
    server.serve(settings, listener)
    # Emulator threads (long polls, timers) are not daemons and would hold the interpreter for minutes.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
