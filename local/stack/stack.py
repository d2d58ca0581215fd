"""The whole stack: servers, the deployed template, and a simulated cluster that is onboarded to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.aws.settings import DEFAULT_REGION
from local.cluster.kube import KubeApi
from local.cluster.scenario import Seeded, seed
from local.cluster.scenario_spec import Scenario
from local.stack import deployment
from local.stack.deployment import ROOT, STACK_NAME
from local.stack.ports import Ports
from local.stack.processes import Server
from local.stack.servers import Servers

READERS = "eks-ip-remediator:readers"
WRITERS = "eks-ip-remediator:writers"
_GROUPS = {"DiagnoseRoleArn": READERS, "VerifyRoleArn": READERS, "SweepRoleArn": READERS, "ClusterRoleArn": WRITERS}


@dataclass
class Cluster:
    """A simulated cluster and its two processes."""

    name: str
    seeded: Seeded
    api: KubeApi
    processes: list[Server]


@dataclass
class Stack:
    """A context manager: everything it started is ended when it is left, whatever happened.

    Args:
        folder: where all state and logs go.
        parameters: of the template, beside those that the local servers need.
        key_identifiers, region, slack_seconds: see `Servers`.
        assets: folder of a real kube-apiserver and etcd (KUBEBUILDER_ASSETS), or None for the embedded API.
    """

    folder: Path
    ports: Ports
    parameters: Mapping[str, str] = field(default_factory=dict)
    assets: str | None = None
    speed: float = 1.0
    wait_scale: float = 1.0
    key_identifiers: bool = True
    region: str = DEFAULT_REGION
    slack_seconds: float = 3.0
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.servers = Servers(
            self.folder.resolve(),
            self.ports,
            wait_scale=self.wait_scale,
            key_identifiers=self.key_identifiers,
            region=self.region,
            slack_seconds=self.slack_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.servers.stop()

    def start(self) -> None:
        """Servers up and the template deployed.

        Raises:
            NotStarted, DeploymentFailed
        """
        with ThreadPoolExecutor() as pool:
            built = pool.submit(deployment.build)
            self.servers.start()
            built.result()
        self._deploy()
        self._connect_slack()

    def redeploy(self, **parameters: str) -> None:
        """Changes parameters of the running template."""
        self.parameters = {**self.parameters, **parameters}
        self._deploy()

    def add_cluster(self, scenario: Scenario) -> Cluster:
        """A Kubernetes API, a simulator and the scenario, onboarded to the deployed template."""
        kubernetes = self.servers.start_kubernetes(scenario.cluster, self.assets)
        simulator = self.servers.start_simulator(scenario.cluster, self.speed, event_bus="default")
        api = KubeApi(self.servers.kubeconfig)
        seeded = seed(api, _EndpointSession(self.servers), scenario)  # type: ignore[arg-type]
        self.onboard(scenario.cluster)
        return Cluster(scenario.cluster, seeded, api, [simulator, kubernetes])

    def remove_cluster(self, cluster: Cluster) -> None:
        """Stops the cluster's processes and deletes it from EKS."""
        for process in cluster.processes:
            self.servers.end(process)
        eks: Any = self.servers.client("eks")
        for addon in eks.list_addons(clusterName=cluster.name)["addons"]:
            eks.delete_addon(clusterName=cluster.name, addonName=addon)
        for group in eks.list_nodegroups(clusterName=cluster.name)["nodegroups"]:
            eks.delete_nodegroup(clusterName=cluster.name, nodegroupName=group)
        eks.delete_cluster(name=cluster.name)

    def onboard(self, cluster: str) -> None:
        """What `onboarding/` asks of every cluster: access entries for the functions' roles, and RBAC."""
        eks: Any = self.servers.client("eks")
        for output, group in _GROUPS.items():
            eks.create_access_entry(
                clusterName=cluster, principalArn=self.outputs[output], kubernetesGroups=[group], type="STANDARD"
            )
        self.kubectl("apply", "--filename", str(ROOT / "onboarding" / "rbac.yaml"))

    def kubectl(self, *arguments: str) -> str:
        """Output of kubectl as the cluster's administrator. Raises CalledProcessError."""
        command = [str(Path(sys.executable).parent / "kubectl")]
        env = {**os.environ, **self._kubectl_environment}
        return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True, env=env).stdout

    @property
    def _kubectl_environment(self) -> dict[str, str]:
        """kubectl's discovery cache stays with the stack, too."""
        return {"KUBECONFIG": str(self.servers.kubeconfig), "KUBECACHEDIR": str(self.servers.folder / "kubectl-cache")}

    def exports(self) -> str:
        """Shell exports, so that plain aws, sam, kubectl and curl work on the stack."""
        variables = {
            **self.servers.environment,
            **self._kubectl_environment,
            "SLACK_URL": self.servers.slack_url,
            "STACK_NAME": STACK_NAME,
            **{_constant(name): value for name, value in self.outputs.items()},
        }
        path = f"export PATH='{Path(sys.executable).parent}':\"$PATH\"\n"
        return path + "".join(f"export {name}='{value}'\n" for name, value in variables.items())

    def _deploy(self) -> None:
        self.outputs = deployment.deploy(self.servers, self.parameters)
        if url := self.outputs.get("SlackRequestUrl"):
            self.outputs["SlackRequestUrl"] = self._local_url(url)

    def _local_url(self, url: str) -> str:
        """Host names of function URLs and HTTP APIs exist only on AWS; the local AWS answers for them under a path."""
        host = url.removeprefix("https://")
        id_, _, rest = host.partition(".")
        if rest.startswith("execute-api."):
            return f"{self.servers.aws_url}/_aws/execute-api/{id_}/$default/"
        return f"{self.servers.aws_url}/_aws/lambda-url/{id_}/"

    def _connect_slack(self) -> None:
        """Interactivity of the Slack app: where the workspace sends clicks, if the stack takes any."""
        if "SlackRequestUrl" not in self.outputs:
            return
        request = urllib.request.Request(
            f"{self.servers.slack_url}/_control/interactivity-url",
            data=json.dumps({"url": self.outputs["SlackRequestUrl"]}).encode(),
            headers={"content-type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=5):
            pass


class _EndpointSession:
    """A boto3 session whose clients speak to the local AWS; scenarios take a plain session."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def client(self, service: str) -> object:
        return self._servers.client(service)


def _constant(name: str) -> str:
    """StateMachineArn -> STATE_MACHINE_ARN."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_")
