"""One simulated cluster: its controllers, nodes and the add-on's manager, started and ended together."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config

from local.cluster.addon import AddonManager
from local.cluster.controllers.daemonsets import DaemonSetController
from local.cluster.controllers.deployments import DeploymentController, ReplicaSetController
from local.cluster.controllers.disruption import DisruptionController
from local.cluster.controllers.garbage import GarbageCollector
from local.cluster.controllers.node_lifecycle import NodeLifecycleController
from local.cluster.controllers.scheduler import Scheduler
from local.cluster.eventexporter import EventExporter
from local.cluster.insights import ContainerInsights
from local.cluster.kube import ApiUnreachable, KubeApi
from local.cluster.nodes.karpenter import Karpenter
from local.cluster.nodes.launching import Models
from local.cluster.nodes.nodegroups import NodeGroupController
from local.cluster.nodes.runtime import Nodes, VpcCni
from local.cluster.pace import Pace
from local.cluster.state import ClusterState
from local.cluster.workqueue import Worker
from local.journal import Journal

_LOG = logging.getLogger(__name__)
_AWS = Config(retries={"mode": "standard", "max_attempts": 2}, max_pool_connections=64, read_timeout=20)


@dataclass(frozen=True)
class Options:
    """`event_bus` None: no events leave the cluster. `insights_seconds` 0: no metrics. Periods are real seconds.

    `state`: the file for what a killed simulator cannot read from Kubernetes and EC2 when it is started again.
    """

    kubeconfig: Path
    cluster: str
    pace: Pace = field(default_factory=Pace)
    event_bus: str | None = None
    event_source: str = "eks-event-exporter"
    event_detail_type: str = "Kubernetes Event"
    insights_seconds: float = 0.0
    addon_poll_seconds: float = 1.0
    addon_reconcile_seconds: float = 900.0
    log_dir: Path | None = None
    state: Path | None = None


class Simulator:
    """All controllers and kubelets of one cluster, in threads of one process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._session = boto3.session.Session()
        api = KubeApi(options.kubeconfig)
        self._state = ClusterState(api, options.pace)
        ec2 = self._session.client("ec2", config=_AWS)
        cni = VpcCni(self._state, ec2, options.cluster, options.log_dir)
        self._nodes = Nodes(self._state, cni)
        self._journal = Journal(options.state)
        karpenter_ec2 = self._session.client("ec2", config=_AWS)
        models = Models(self._journal, "Karpenter")
        self._karpenter = Karpenter(self._state, karpenter_ec2, options.cluster, models)
        self._workers = self._make_workers(api)
        self._disruption = DisruptionController(self._state)
        self._exporter = self._make_exporter()

    def run(self, stop: threading.Event) -> None:
        """Simulate until `stop` is set. Waits for an API server which is not there yet."""
        self._state.start(stop)
        for informer in self._state.informers:
            while not informer.wait_synced(0.2):
                if stop.is_set():
                    return
        for worker in self._workers:
            worker.start()
        self._start_disruption(stop)
        self._karpenter.claims.start(stop)
        self._karpenter.node_classes.start(stop)
        self._nodes.start()
        if self._exporter is not None:
            self._exporter.start(stop)
        _LOG.info("simulating cluster %s at speed %g", self._options.cluster, self._options.pace.speed)
        stop.wait()
        self._nodes.stop()
        self._disruption.worker.stop()
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(timeout=1.0)

    def _start_disruption(self, stop: threading.Event) -> None:
        """It asks the API server once, which may just be away."""
        while not stop.is_set():
            try:
                self._disruption.start(stop)
            except ApiUnreachable:
                stop.wait(0.2)
            else:
                return

    def _make_workers(self, api: KubeApi) -> list[Worker]:
        options, state = self._options, self._state
        addon = AddonManager(
            api,
            self._session.client("eks", config=_AWS),
            options.cluster,
            poll_seconds=options.addon_poll_seconds,
            reconcile_seconds=options.addon_reconcile_seconds,
        )
        workers = [
            Scheduler(state).worker,
            DaemonSetController(state).worker,
            DeploymentController(state).worker,
            ReplicaSetController(state).worker,
            GarbageCollector(state).worker,
            NodeLifecycleController(state).worker,
            addon.worker,
            self._karpenter.worker,
            NodeGroupController(
                state,
                self._session.client("autoscaling", config=_AWS),
                self._session.client("ec2", config=_AWS),
                options.cluster,
                Models(self._journal, "node groups"),
            ).worker,
        ]
        if options.insights_seconds > 0:
            cloudwatch = self._session.client("cloudwatch", config=_AWS)
            workers.append(ContainerInsights(state, cloudwatch, options.cluster, options.insights_seconds).worker)
        return workers

    def _make_exporter(self) -> EventExporter | None:
        options = self._options
        if options.event_bus is None:
            return None
        return EventExporter(
            self._state,
            self._session.client("events", config=_AWS),
            cluster=options.cluster,
            bus=options.event_bus,
            source=options.event_source,
            detail_type=options.event_detail_type,
        )
