"""Command line of the cluster simulator: ``python -m local.cluster --help``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from botocore.exceptions import BotoCoreError
from kubernetes.config import ConfigException

from local.cluster.pace import Pace
from local.cluster.simulator import Options, Simulator


def parse(arguments: list[str]) -> Options:
    """Options from the command line; exits with a usage message when something is missing or wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m local.cluster",
        description="Plays scheduler, controllers, kubelets, the VPC CNI and EKS's add-on manager against a "
        "Kubernetes API and an AWS API (AWS_ENDPOINT_URL and credentials from the environment).",
    )
    parser.add_argument("--kubeconfig", type=Path, required=True, help="kubeconfig of an administrator")
    parser.add_argument("--cluster", required=True, help="name of the EKS cluster")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="divides every wait: 2.0 is twice as fast (default 1.0)"
    )
    parser.add_argument("--event-bus", default="none", help="EventBridge bus for Warning events, or none (default)")
    parser.add_argument("--event-source", default=Options.event_source, help=f"default {Options.event_source}")
    parser.add_argument(
        "--event-detail-type", default=Options.event_detail_type, help=f"default {Options.event_detail_type!r}"
    )
    parser.add_argument(
        "--container-insights-seconds",
        type=float,
        default=0.0,
        help="publish pod_status_pending this often; 0 (default) for never",
    )
    parser.add_argument(
        "--addon-poll-seconds", type=float, default=1.0, help="look for a new add-on configuration this often (1)"
    )
    parser.add_argument(
        "--addon-reconcile-seconds",
        type=float,
        default=900.0,
        help="take back changed fields of the managed add-on this often (900)",
    )
    parser.add_argument("--log-dir", type=Path, help="folder for <node>/ipamd.log (default: not kept)")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="what new nodes look like, for a simulator that is killed and started again (default: not kept)",
    )
    given = parser.parse_args(arguments)
    if not given.kubeconfig.is_file():
        parser.error(f"--kubeconfig {given.kubeconfig} does not exist")
    try:
        pace = Pace(given.speed)
    except ValueError as error:
        parser.error(str(error))
    return Options(
        kubeconfig=given.kubeconfig,
        cluster=given.cluster,
        pace=pace,
        event_bus=None if given.event_bus == "none" else given.event_bus,
        event_source=given.event_source,
        event_detail_type=given.event_detail_type,
        insights_seconds=given.container_insights_seconds,
        addon_poll_seconds=given.addon_poll_seconds,
        addon_reconcile_seconds=given.addon_reconcile_seconds,
        log_dir=given.log_dir,
        state=given.state,
    )


def main() -> None:
    """Simulate until SIGTERM or SIGINT."""
    options = parse(sys.argv[1:])
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        simulator = Simulator(options)
    except (BotoCoreError, ConfigException) as error:
        sys.exit(f"cannot start: {error}; check {options.kubeconfig} and AWS_REGION or AWS_DEFAULT_REGION")
    simulator.run(stop)


if __name__ == "__main__":
    main()
