"""`make demo`: the reference incident from its first event to the proof of its cure. Exit status 0 only if proven."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from rich.console import Console

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Incident
from local import own_folders
from local.cluster.scenario import NotSettled, wait_settled
from local.cluster.scenario_spec import Scenario
from local.demo import views
from local.demo.watching import TooSlow, await_value, follow, incidents_of
from local.stack.deployment import ROOT, DeploymentFailed
from local.stack.ports import Ports, PortTaken
from local.stack.processes import NotStarted
from local.stack.stack import Cluster, Stack

FOLDER = ROOT / ".local" / "demo"
CGNAT = IPv4Network("100.64.0.0/10")
CALM, BUSY = 8, 10
INCIDENT_SECONDS = 60
CURE_SECONDS = 180
_TRY_NEXT = """
Try next:
  make demo MODE=approve     # the plan waits for your click on the Slack page
  make local                 # a stack that stays up, to play with
  make test                  # the tests
"""


@dataclass
class Demo:
    """The reference incident on a running stack, step by step on the console."""

    stack: Stack
    mode: str
    console: Console = field(default_factory=lambda: Console(width=120, highlight=False, soft_wrap=True))
    timings: dict[str, float] = field(default_factory=dict)

    def run(self) -> list[str]:
        """Plays the incident; returns what was not proven (nothing, when all is well)."""
        with self._timed("servers up, sam build, sam deploy"):
            self.stack.start()
        with self._timed("cluster seeded and onboarded"):
            cluster = self.stack.add_cluster(Scenario(nginx_replicas=CALM))
            wait_settled(cluster.api, running=CALM, stuck=0)
        self._say(f"Slack workspace: {self.stack.servers.slack_url}")
        self._say(f"a deployment grows: kubectl scale deployment nginx --replicas={BUSY}")
        self.stack.kubectl("scale", "deployment", "nginx", f"--replicas={BUSY}")
        before = await_value(f"{BUSY - CALM} stuck pods", lambda: self._stuck(cluster), INCIDENT_SECONDS)
        stuck_at = time.monotonic()
        vpc_id = cluster.seeded.network.vpc_id
        subnets_before = views.subnets(self.stack, vpc_id)
        views.show_pods(self.console, "Before: kubectl get pods -o wide", before)
        views.show_subnets(self.console, "Before: subnets of the VPC", subnets_before)
        incident = self._watch(cluster, stuck_at)
        after, subnets_after = views.pods(cluster), views.subnets(self.stack, vpc_id)
        message = self._final_message(incident)
        self._show_results(cluster, incident, after, subnets_after, message)
        new_subnets = {view.id for view in subnets_after} - {view.id for view in subnets_before}
        return self._unproven(before, after, views.addresses_in_ec2(self.stack, new_subnets), incident, message)

    def _stuck(self, cluster: Cluster) -> list[views.PodView] | None:
        pods = views.pods(cluster)
        waiting = [pod for pod in pods if pod.status == "ContainerCreating" and pod.node]
        return pods if len(waiting) == BUSY - CALM and len(pods) == BUSY else None

    def _watch(self, cluster: Cluster, stuck_at: float) -> Incident:
        incidents = incidents_of(self.stack)
        opened = await_value("an incident", lambda: incidents.open_incident(cluster.name), INCIDENT_SECONDS)
        self._phase("event in -> incident opened", stuck_at)
        self._say(f"incident {opened} is open")
        linked, last = False, time.monotonic()
        for line, incident in follow(incidents, opened, CURE_SECONDS):
            self._say(line)
            self._phase(line.partition(":")[0], last)
            last = time.monotonic()
            if incident.slack and not linked:
                linked = True
                message = views.slack_message(self.stack)
                self._say(f"Slack message: {message['permalink']}" if message else "")
            if line == "approval: pending":
                self._say(f"answer on the Slack page: {self.stack.servers.slack_url}")
        self._phase("pods stuck -> incident closed", stuck_at)
        return incidents.get(opened)

    def _final_message(self, incident: Incident) -> dict[str, Any]:
        """The Slack message once it shows how the incident ended: it follows the record by a moment."""
        incidents = incidents_of(self.stack)

        def settled() -> dict[str, Any] | None:
            message = views.slack_message(self.stack)
            shown = incidents.get(incident.id).slack
            return message if message and shown and len(message["versions"]) > 1 and self._ended(message) else None

        return await_value("the final Slack message", settled, 20)

    @staticmethod
    def _ended(message: dict[str, Any]) -> bool:
        return any(button in str(message["blocks"]) for button in ("rollback",)) or "healed" not in message["text"]

    def _show_results(
        self,
        cluster: Cluster,
        incident: Incident,
        pods: list[views.PodView],
        subnets: list[views.SubnetView],
        message: dict[str, Any],
    ) -> None:
        views.show_pods(self.console, "After: kubectl get pods -o wide", pods)
        views.show_subnets(self.console, "After: subnets of the VPC", subnets)
        listed = cluster.api.get("/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs")["items"]
        rows = [(item["metadata"]["name"], item["spec"]["subnet"]) for item in listed]
        views.show_rows(self.console, "ENIConfigs", ("NAME", "SUBNET"), rows)
        timings = [(name, f"{seconds:.1f} s") for name, seconds in self.timings.items()]
        views.show_rows(self.console, "Timings", ("PHASE", "SECONDS"), timings)
        self._say(f"outcome: {incident.outcome}")
        self._say(f"Slack message ({len(message['versions'])} versions): {message['permalink']}")

    @staticmethod
    def _unproven(
        before: list[views.PodView],
        after: list[views.PodView],
        in_ec2: set[str],
        incident: Incident,
        message: dict[str, Any],
    ) -> list[str]:
        """What the two APIs do not confirm."""
        were_running = {pod.name: pod.address for pod in before if pod.running}
        healed = [pod for pod in after if pod.name not in were_running]
        kept = {pod.name: pod.address for pod in after if pod.name in were_running}
        doubts = {
            f"{BUSY} nginx pods run": len(after) == BUSY and all(pod.running for pod in after),
            "the pods that were stuck have addresses of 100.64.0.0/10": bool(healed)
            and all(pod.address and IPv4Address(pod.address) in CGNAT for pod in healed),
            "one of them in each zone": len({pod.zone for pod in healed}) == len(healed) == BUSY - CALM,
            "EC2 has these addresses on ENIs of the new subnets": {pod.address for pod in healed} <= in_ec2,
            "the other pods kept their addresses": kept == were_running,
            "the incident's record says healed": incident.outcome is Outcome.HEALED,
            "the Slack message says so": "healed" in message["text"].lower(),
        }
        return [doubt for doubt, proven in doubts.items() if not proven]

    def _say(self, text: str) -> None:
        if text:
            self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim]  {text}")

    def _phase(self, name: str, since: float) -> None:
        self.timings[name] = time.monotonic() - since

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        self._say(f"{name} …")
        start = time.monotonic()
        yield
        self._phase(name, start)


def _end(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Starts a stack, plays the demo, and returns the exit status."""
    own_folders.use()
    # Both set explicitly: a shell starts background jobs with SIGINT ignored, and SIGTERM would leave the servers.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    mode = os.environ.get("MODE", "auto")
    if mode not in list(Mode):
        print(f"error: MODE: {mode!r} is no mode; use {', '.join(Mode)}", file=sys.stderr)
        return 2
    assets = os.environ.get("KUBEBUILDER_ASSETS") or None
    try:
        with Stack(FOLDER, Ports.preferred(), {"DefaultMode": mode}, assets) as stack:
            demo = Demo(stack, mode)
            unproven = demo.run()
            for doubt in unproven:
                demo.console.print(f"[red]not proven: {doubt}[/red]")
            if not unproven:
                demo.console.print("[green]proven: read back from the Kubernetes API and from EC2[/green]")
            demo.console.print(_TRY_NEXT)
            if os.environ.get("KEEP"):
                demo.console.print("KEEP is set: the stack stays up until you press Enter")
                sys.stdin.readline()
            return 1 if unproven else 0
    except (PortTaken, NotStarted, DeploymentFailed, NotSettled, TooSlow) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
