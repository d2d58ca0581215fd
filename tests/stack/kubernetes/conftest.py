"""One API server of each kind per session, started through the command line that users type."""

from __future__ import annotations

import sys
import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from kubernetes import client

from local.cluster.controllers.daemonsets import DaemonSetController
from local.cluster.controllers.deployments import DeploymentController, ReplicaSetController
from local.cluster.controllers.garbage import GarbageCollector
from local.cluster.kube import KubeApi
from local.cluster.pace import Pace
from local.cluster.state import ClusterState
from tests.stack.kubernetes.support import (
    ADMIN,
    ASSETS,
    ENICONFIG_CRD,
    GROUP,
    OUTSIDER,
    READER,
    VERSION,
    Cluster,
    Webhook,
    environment,
    eventually,
    free_port,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS = 90.0

SERVERS = [
    pytest.param("embedded", id="embedded"),
    pytest.param(
        "real",
        id="real",
        marks=pytest.mark.skipif(not ASSETS, reason="KUBEBUILDER_ASSETS is not set: no real kube-apiserver"),
    ),
]


@pytest.fixture(scope="session", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp(request.param)
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{ADMIN},admin,1,"system:masters"\n{READER},reader,2,"readers,others"\n{OUTSIDER},outsider,3\n')
    port = free_port()
    webhook = Webhook()
    command = [sys.executable, "-m", "local.kubernetes", f"--port={port}", f"--pki={folder / 'pki'}"]
    command += [f"--token-file={tokens}", f"--kubeconfig={folder / 'kubeconfig'}", f"--token-webhook={webhook.url}"]
    log = folder / "server.log"
    try:
        with running(command, environment(request.param), log) as process:
            started = Cluster(request.param, f"https://127.0.0.1:{port}", folder, webhook)

            def serves() -> bool:
                assert process.poll() is None, log.read_text()
                return started.kubeconfig.exists()

            eventually(serves, READY_SECONDS)
            yield started
    finally:
        webhook.close()


@pytest.fixture
def core(cluster: Cluster) -> client.CoreV1Api:
    return client.CoreV1Api(cluster.api())


@pytest.fixture
def apps(cluster: Cluster) -> client.AppsV1Api:
    return client.AppsV1Api(cluster.api())


@pytest.fixture
def custom(cluster: Cluster) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(cluster.api())


@pytest.fixture
def namespace(core: client.CoreV1Api) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    return name


@pytest.fixture
def node(core: client.CoreV1Api) -> Iterator[str]:
    name = f"node-{uuid.uuid4().hex[:8]}"
    core.create_node({"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "a"}}})
    yield name
    core.delete_node(name)


@pytest.fixture(scope="module")
def controllers(cluster: Cluster) -> Iterator[None]:
    """The simulator's workload controllers, at work until the module's last test."""
    state = ClusterState(KubeApi(cluster.kubeconfig), Pace())
    kinds = (DeploymentController, ReplicaSetController, DaemonSetController, GarbageCollector)
    workers = [kind(state).worker for kind in kinds]
    stop = threading.Event()
    state.start(stop)
    for informer in state.informers:
        assert informer.wait_synced(20)
    for worker in workers:
        worker.start()
    yield
    stop.set()
    for worker in workers:
        worker.stop()


@pytest.fixture(scope="session")
def eniconfigs(cluster: Cluster) -> str:
    """The plural of the VPC CNI's custom resource, established."""
    extensions = client.ApiextensionsV1Api(cluster.api())
    extensions.create_custom_resource_definition(ENICONFIG_CRD)

    def established() -> bool:
        status = extensions.read_custom_resource_definition(ENICONFIG_CRD["metadata"]["name"]).status
        return any(item.type == "Established" and item.status == "True" for item in status.conditions or ())

    eventually(established)
    # Established and served are two moments on a real server.
    eventually(lambda: cluster.request("GET", f"/apis/{GROUP}/{VERSION}/eniconfigs").status_code == 200)
    return "eniconfigs"
