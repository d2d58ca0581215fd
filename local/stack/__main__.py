"""`make local`: the embedded stack with the reference cluster, up until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from local import own_folders
from local.cluster.scenario import NotSettled, wait_settled
from local.cluster.scenario_spec import Scenario
from local.stack.deployment import ROOT, DeploymentFailed
from local.stack.ports import Ports, PortTaken
from local.stack.processes import NotStarted
from local.stack.stack import Stack

FOLDER = ROOT / ".local"
_CALM_REPLICAS = 8
_MODES = ("observe", "approve", "auto")


def main() -> int:
    """Runs the whole stack until it is stopped; returns the exit status."""
    own_folders.use()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    mode = os.environ.get("MODE", "approve")
    if mode not in _MODES:
        print(f"error: MODE: {mode!r} is no mode; use {', '.join(_MODES)}", file=sys.stderr)
        return 2
    try:
        parameters = {"DefaultMode": mode, "SweepMinutes": "5"}
        stack = Stack(FOLDER / "stack", Ports.chosen(), parameters, os.environ.get("KUBEBUILDER_ASSETS") or None)
        with stack:
            _up(stack, mode)
            stopped.wait()
            print("ending every server …")
    except (PortTaken, NotStarted, DeploymentFailed, NotSettled) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        (FOLDER / "env").unlink(missing_ok=True)
    return 0


def _up(stack: Stack, mode: str) -> None:
    print("starting the servers, building and deploying the template …", flush=True)
    stack.start()
    print("seeding the reference cluster …", flush=True)
    cluster = stack.add_cluster(Scenario(nginx_replicas=_CALM_REPLICAS))
    wait_settled(cluster.api, running=_CALM_REPLICAS, stuck=0)
    exports = FOLDER / "env"
    exports.touch(mode=0o600)
    exports.write_text(stack.exports())
    print(_welcome(stack, mode, exports), flush=True)


def _welcome(stack: Stack, mode: str, exports: Path) -> str:
    return f"""
The stack is up (mode {mode}). Everything listens on loopback only.

  AWS         {stack.servers.aws_url}
  Kubernetes  https://localhost:{stack.servers.ports.kubernetes}   kubeconfig: {stack.servers.kubeconfig}
  Slack       {stack.servers.slack_url}
  logs        {stack.servers.folder / "logs"}

In another shell:

  source {exports.relative_to(ROOT)}                # aws, sam, kubectl and ip-remediator work on the stack
  kubectl scale deployment nginx --replicas=10     # two pods too many for the full subnets: an incident
  ip-remediator status latest --watch              # and on the Slack page: {stack.servers.slack_url}

Ctrl-C ends everything."""


if __name__ == "__main__":
    sys.exit(main())
