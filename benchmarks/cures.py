"""The ways to cure the same shortage, each measured from its beginning to pods that run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from kubernetes import config

from benchmarks import back_to_back
from benchmarks.stage import OPERATOR, Shortage, Stage, round_name
from benchmarks.usage import Usage, usage_of
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, Step
from local.demo.watching import await_value, incidents_of

BLOCK = "100.64.0.0/22"
CIDRS = ("100.64.0.0/24", "100.64.1.0/24")
CLOSE_SECONDS = 180
SCRIPT_SECONDS = 240
_BACK_TO_BACK = "back-to-back"
_SWITCH = "UpdateAddon"
# What is not a read, as AWS and Kubernetes name it.
_READS = ("Describe", "Get", "List", "Query", "Scan", "BatchGet", "TransactGet")
_STEPS = (
    Step.DIAGNOSE,
    Step.PLAN,
    Step.ASSOCIATE_CIDR,
    Step.CREATE_SUBNETS,
    Step.APPLY_ENICONFIGS,
    Step.CONFIGURE_CNI,
    Step.VERIFY,
)


@dataclass
class Round:
    """Times are seconds from the beginning: the event on the bus, or the start of the script.

    switched: the last write, which turns custom networking on; from there on the cluster's own pace decides.
    running: the last pod runs. ended: incident closed, or script done.
    """

    arm: str
    switched: float
    running: float
    ended: float
    calls: Counter[tuple[str, str]]
    phases: dict[str, float] = field(default_factory=dict)
    usage: Usage | None = None


class NotHealed(Exception):
    """A round ended without the cure; the message says how."""


def remediator(stage: Stage, *, cold: bool) -> Round:
    """The deployed remediator, in mode auto. Raises NotHealed, TimeoutError, TooSlow."""
    if cold:
        stage.cool_down()
    arm = "cold" if cold else "warm"
    with stage.shortage(round_name(arm), heard=True) as shortage:
        incidents = incidents_of(stage.stack)
        name = shortage.cluster.name
        opened = await_value("an incident", lambda: incidents.open_incident(name), CLOSE_SECONDS)
        incident = await_value("its end", lambda: _closed(incidents.get(opened)), CLOSE_SECONDS)
        if incident.outcome is not Outcome.HEALED:
            why = incident.failure.message if incident.failure else "no failure recorded"
            raise NotHealed(f"incident {incident.id} ended {incident.outcome}: {why}")
        calls = stage.calls()
        event_in = _first_event(calls, incident)
        running = shortage.pods.wait()
        return Round(
            arm=arm,
            switched=_seconds(event_in, _last_switch(calls, "FunctionRole")),
            running=_seconds(event_in, running),
            ended=_seconds(event_in, incident.closed_at),
            calls=_count(calls, "FunctionRole") + _kubernetes(stage, "eks-ip-remediator"),
            phases=dict(_phases(event_in, incident, running)),
            usage=usage_of(stage, incident, calls),
        )


def by_hand(stage: Stage) -> Round:
    """benchmarks/by_hand.sh with the unmodified aws and kubectl."""
    environment = _operator_environment(stage)
    _rehearse(environment)
    script = Path(__file__).with_name("by_hand.sh")
    with stage.shortage(round_name("hand"), heard=False) as shortage:
        begun = datetime.now(UTC)
        subprocess.run(
            [str(script), shortage.cluster.name, BLOCK, *CIDRS], env=environment, check=True, timeout=SCRIPT_SECONDS
        )
        return _by_operator(stage, shortage, "by hand", begun, "kubectl")


def _operator_environment(stage: Stage) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        **stage.servers.environment,
        **stage.operator_keys,
        "KUBECONFIG": str(stage.servers.kubeconfig),
        "KUBECACHEDIR": str(stage.servers.folder / "kubectl-cache"),
        "PYTHONPYCACHEPREFIX": str(stage.servers.folder / "bytecode"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def _rehearse(environment: Mapping[str, str]) -> None:
    """Commands of each kind, so that aws, which is Python, has its bytecode at hand as an installed one has."""
    for command in ("ec2 describe-vpcs", "eks list-clusters"):
        subprocess.run(["aws", *command.split()], env=environment, check=True, capture_output=True)


def unavoidable(stage: Stage) -> Round:
    """The unavoidable calls back to back, from a process that runs, with connections that stand."""
    url, session = stage.servers.aws_url, stage.operator_session
    ec2: Any = session.client("ec2", endpoint_url=url)
    eks: Any = session.client("eks", endpoint_url=url)
    with stage.shortage(round_name("calls"), heard=False) as shortage:
        network = shortage.cluster.seeded.network
        kube: Any = config.new_client_from_config(str(stage.servers.kubeconfig))  # type: ignore[no-untyped-call]
        kube.user_agent = _BACK_TO_BACK
        begun = datetime.now(UTC)
        back_to_back.cure(
            ec2,
            eks,
            kube,
            shortage.cluster.name,
            network,
            BLOCK,
            dict(zip(network.subnets, CIDRS, strict=True)),
        )
        return _by_operator(stage, shortage, "calls only", begun, _BACK_TO_BACK)


def _by_operator(stage: Stage, shortage: Shortage, arm: str, begun: datetime, agent: str) -> Round:
    ended, running, calls = datetime.now(UTC), shortage.pods.wait(), stage.calls()
    counted = _count(calls, f"user/{OPERATOR}") + _kubernetes(stage, agent, begun)
    return Round(
        arm=arm,
        switched=_seconds(begun, _last_switch(calls, f"user/{OPERATOR}")),
        running=_seconds(begun, running),
        ended=_seconds(begun, max(ended, running)),
        calls=counted,
    )


def _closed(incident: Incident) -> Incident | None:
    return None if incident.open else incident


def _first_event(calls: list[dict[str, Any]], incident: Incident) -> datetime:
    """When the bus got the first event of the shortage."""
    events = [_time(call) for call in calls if call["action"] == "PutEvents"]
    if not events or min(events) > incident.opened_at:
        raise NotHealed(f"incident {incident.id} opened before the shortage: an event of the seeding got through")
    return min(events)


def _phases(event_in: datetime, incident: Incident, running: datetime) -> Iterator[tuple[str, float]]:
    """Seconds of each phase, by the times in the record; the pods' is between the switch and the proof."""
    marks = [("event in", event_in), ("signal -> incident", incident.opened_at)]
    marks += [(step.value.replace("_", " "), incident.steps[step].at) for step in _STEPS if step in incident.steps]
    if incident.closed_at:
        marks.append(("close", incident.closed_at))
    marks.append(("pods running", running))
    marks.sort(key=lambda mark: mark[1])
    for (_, before), (name, at) in pairwise(marks):
        yield name, _seconds(before, at)


def _count(calls: list[dict[str, Any]], principal: str) -> Counter[tuple[str, str]]:
    return Counter((call["service"], call["action"]) for call in calls if principal in call["principal"])


def _kubernetes(stage: Stage, agent: str, since: datetime | None = None) -> Counter[tuple[str, str]]:
    """Requests by verb and resource; discovery, which kubectl asks for, counts as well."""
    begun = since.timestamp() if since else 0.0
    requests = [one for one in stage.kubernetes_requests(agent) if one["time"] >= begun]
    return Counter(("kubernetes", _verb(one)) for one in requests)


def _verb(request: Mapping[str, Any]) -> str:
    root, *parts = request["path"].strip("/").split("/")
    prefix = {"api": 1, "apis": 2}.get(root, len(parts))
    if "namespaces" in parts[prefix : prefix + 1] and len(parts) > prefix + 2:
        prefix += 2
    resource = "/".join(parts[prefix : prefix + 1]) or "discovery"
    return f"{'WATCH' if request['watch'] else request['method']} {resource}"


def is_write(service: str, action: str) -> bool:
    if service == "kubernetes":
        return not action.startswith(("GET ", "WATCH "))
    return not action.startswith(_READS)


def _last_switch(calls: list[dict[str, Any]], principal: str) -> datetime:
    return max(_time(call) for call in calls if call["action"] == _SWITCH and principal in call["principal"])


def _time(call: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(call["time"])


def _seconds(since: datetime, until: datetime | None) -> float:
    if until is None:
        raise NotHealed("the record has no time of its end")
    return (until - since).total_seconds()
