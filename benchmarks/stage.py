"""The stack that benchmarks run on: one deployment, and a fresh cluster with stuck pods for every round."""

from __future__ import annotations

import json
import secrets
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from benchmarks.audited_kubernetes import AUDIT_LOG
from local.cluster.kube import PODS
from local.cluster.objects import is_ready
from local.cluster.scenario import wait_settled
from local.cluster.scenario_spec import Scenario
from local.stack.deployment import ROOT, STACK_NAME
from local.stack.ports import Ports
from local.stack.processes import Server
from local.stack.servers import Servers
from local.stack.stack import Cluster, Stack

FOLDER = ROOT / ".local" / "bench"
CALM, BUSY = 8, 10
RUNNING_SECONDS = 180
OPERATOR = "operator"


class AuditedServers(Servers):
    """The stack's servers, with the Kubernetes API's requests noted."""

    @property
    def audit_log(self) -> Path:
        return self.folder / "logs" / "kubernetes-audit.jsonl"

    def _server(self, module: str, *arguments: str, env: dict[str, str] | None = None) -> Server:
        if module == "local.kubernetes":
            self.audit_log.unlink(missing_ok=True)
            module, env = "benchmarks.audited_kubernetes", {**(env or {}), AUDIT_LOG: str(self.audit_log)}
        return super()._server(module, *arguments, env=env)


class Stage:
    """A context manager; `speed` is the simulator's. Errors are those of `local.stack`."""

    def __init__(self, speed: float) -> None:
        self.stack = Stack(FOLDER, Ports.free(), {"DefaultMode": "auto"}, speed=speed)
        self.servers = AuditedServers(self.stack.servers.folder, self.stack.servers.ports)
        self.stack.servers = self.servers
        self.operator_keys: dict[str, str] = {}

    def __enter__(self) -> Stage:
        try:
            self.stack.start()
            self._hire_operator()
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.servers.stop()

    @contextmanager
    def shortage(self, name: str, *, heard: bool) -> Iterator[Shortage]:
        """A fresh cluster whose last two nginx pods have just got stuck.

        `heard`: whether its events reach the remediator. Whoever cures by hand works alone.
        """
        self._listen(heard)
        cluster = self.stack.add_cluster(Scenario(cluster=name, nginx_replicas=CALM))
        try:
            wait_settled(cluster.api, running=CALM, stuck=0)
            self.forget_calls()
            pods = PodWatch(cluster)
            self.stack.kubectl("scale", "deployment", "nginx", f"--replicas={BUSY}")
            wait_settled(cluster.api, running=CALM, stuck=BUSY - CALM)
            yield Shortage(cluster, datetime.now(UTC), pods)
        finally:
            self.stack.remove_cluster(cluster)

    def client(self, service: str) -> Any:
        return self.servers.client(service)

    def functions(self) -> list[str]:
        listed = self.client("lambda").list_functions()["Functions"]
        return sorted(f["FunctionName"] for f in listed if f["FunctionName"].startswith(f"{STACK_NAME}-"))

    def cool_down(self) -> None:
        """Every function's next invocation starts cold: changing a configuration ends its environments."""
        client = self.client("lambda")
        for name in self.functions():
            timeout = client.get_function_configuration(FunctionName=name)["Timeout"]
            client.update_function_configuration(FunctionName=name, Timeout=timeout)
        for name in self.functions():
            client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def calls(self) -> list[dict[str, Any]]:
        """AWS calls since they were last forgotten; see `local.aws.faults`."""
        recorded: list[dict[str, Any]] = json.loads(self._control("GET"))
        return recorded

    def kubernetes_requests(self, agent: str) -> list[dict[str, Any]]:
        """Requests to the Kubernetes API of the present cluster whose user agent contains `agent`."""
        if not self.servers.audit_log.exists():
            return []
        entries = [json.loads(line) for line in self.servers.audit_log.read_text().splitlines()]
        return [entry for entry in entries if agent in entry["agent"]]

    def forget_calls(self) -> None:
        self._control("DELETE")
        self.servers.audit_log.unlink(missing_ok=True)

    @property
    def operator_session(self) -> boto3.session.Session:
        keys = self.operator_keys
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return boto3.session.Session(*(keys[name] for name in names), region_name=self.servers.region)

    def _control(self, method: str) -> bytes:
        request = urllib.request.Request(f"{self.servers.aws_url}/_local/calls", method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())

    def _hire_operator(self) -> None:
        """An administrator's own keys, by which the calls of a cure by hand are told from the simulator's."""
        iam = self.client("iam")
        iam.create_user(UserName=OPERATOR)
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName=OPERATOR, PolicyName="all", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName=OPERATOR)["AccessKey"]
        self.operator_keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def _listen(self, heard: bool) -> None:
        stack = self.client("cloudformation")
        rule = stack.describe_stack_resource(StackName=STACK_NAME, LogicalResourceId="KubernetesEventsRule")
        name = rule["StackResourceDetail"]["PhysicalResourceId"].rpartition("/")[2].rpartition("|")[2]
        events = self.client("events")
        (events.enable_rule if heard else events.disable_rule)(Name=name)


@dataclass
class PodWatch:
    """Notes when all nginx pods run, by a watch of its own."""

    cluster: Cluster
    all_running: datetime | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        listed = self.cluster.api.get(PODS.path("default"))
        ready = {pod["metadata"]["name"]: is_ready(pod) for pod in listed["items"]}
        version = listed["metadata"]["resourceVersion"]
        threading.Thread(target=self._follow, args=(ready, version), daemon=True).start()

    def wait(self) -> datetime:
        """When the last of the pods came up. Raises TimeoutError."""
        if not self._done.wait(RUNNING_SECONDS) or self.all_running is None:
            raise TimeoutError(f"the pods do not all run after {RUNNING_SECONDS} s")
        return self.all_running

    def _follow(self, ready: dict[str, bool], version: str) -> None:
        for event in self.cluster.api.watch(PODS.path("default"), version, RUNNING_SECONDS):
            pod = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED") or not pod["metadata"]["name"].startswith("nginx"):
                continue
            ready[pod["metadata"]["name"]] = is_ready(pod)
            if sum(ready.values()) >= BUSY:
                self.all_running = datetime.now(UTC)
                break
        self._done.set()


@dataclass(frozen=True)
class Shortage:
    cluster: Cluster
    stuck_at: datetime
    pods: PodWatch


def round_name(purpose: str) -> str:
    """A cluster's name that no round had: the cool-down after an incident is by cluster."""
    return f"bench-{purpose}-{secrets.token_hex(2)}"
