"""A Kubernetes API server of the tests, and the identities that the functions have there."""

from __future__ import annotations

import base64
import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from ip_remediator.clients.kubernetes.api import KubeApi
from local.cluster.manifests import aws_node
from tests.stack.kubernetes.support import ADMIN, REPOSITORY, environment, eventually, free_port, running
from tests.support.patience import within

READER, WRITER, STRANGER = "the-readers-token", "the-writers-token", "a-strangers-token"
_READY_SECONDS = 90.0
AWS_NODE = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node"
_DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
_NODES = "/api/v1/nodes"


@dataclass(frozen=True)
class Kubernetes:
    """A running API server."""

    kind: str
    url: str
    folder: Path

    @property
    def ca_data(self) -> str:
        return base64.b64encode((self.folder / "pki" / "ca.crt").read_bytes()).decode()

    def api(self, token: str = ADMIN) -> KubeApi:
        return KubeApi(self.url, self.ca_data, token)

    @property
    def admin(self) -> KubeApi:
        return self.api()

    def apply_as(self, manager: str, path: str, body: dict[str, Any]) -> None:
        """Server-side apply by somebody else's tool."""
        answer = requests.patch(
            f"{self.url}{path}?fieldManager={manager}",
            data=json.dumps(body),
            headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/apply-patch+yaml"},
            verify=str(self.folder / "pki" / "ca.crt"),
            timeout=within(30),
        )
        answer.raise_for_status()

    def delete_nodes(self) -> None:
        """All of them: other tests of the same server leave some behind."""
        for node in self.admin.get(_NODES)["items"]:
            self.admin.delete(f"{_NODES}/{node['metadata']['name']}")

    def install_aws_node(self, **fields: Any) -> None:
        """A fresh DaemonSet aws-node, as the add-on's manifest has it; `fields` go into its metadata."""
        self.admin.delete(AWS_NODE)
        eventually(lambda: self.admin.find(AWS_NODE) is None)
        manifest = aws_node({})
        self.admin.create(_DAEMONSETS, {**manifest, "metadata": {**manifest["metadata"], **fields}})

    def set_rollout(self, *, wanted: int, updated: int, available: int) -> None:
        """The status as the DaemonSet controller would write it for the newest template."""
        present = self.admin.get(AWS_NODE)
        status = {
            "observedGeneration": present["metadata"]["generation"],
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "currentNumberScheduled": wanted,
            "numberMisscheduled": 0,
            "numberReady": available,
        }
        self.admin.patch(f"{AWS_NODE}/status", {"status": status})


@contextmanager
def kubernetes_running(kind: str, folder: Path) -> Iterator[Kubernetes]:
    tokens = folder / "tokens.csv"
    tokens.write_text(
        f'{ADMIN},admin,1,"system:masters"\n'
        f'{READER},reader,2,"eks-ip-remediator:readers"\n'
        f'{WRITER},writer,3,"eks-ip-remediator:writers"\n'
        f"{STRANGER},stranger,4\n"
    )
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "local.kubernetes", f"--port={port}", f"--pki={folder / 'pki'}"]
    command += [f"--token-file={tokens}", f"--kubeconfig={folder / 'kubeconfig'}"]
    with running(command, environment(kind), log) as process:
        started = Kubernetes(kind, f"https://127.0.0.1:{port}", folder)

        def serves() -> bool:
            assert process.poll() is None, log.read_text()
            return (folder / "kubeconfig").exists() and started.admin.find("/api/v1/namespaces/kube-system") is not None

        eventually(serves, _READY_SECONDS)
        _onboard(started)
        yield started
        gc.collect()  # ends the connections of clients that nobody uses any more: the server waits for them


def _onboard(cluster: Kubernetes) -> None:
    paths = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
    for document in yaml.safe_load_all((REPOSITORY / "onboarding" / "rbac.yaml").read_text()):
        cluster.admin.create(f"/apis/rbac.authorization.k8s.io/v1/{paths[document['kind']]}", document)
