"""What the controllers of one simulated cluster share: the API, the informers, the pace."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from local.cluster.informer import Informer
from local.cluster.kube import CONTROLLER_REVISIONS, DAEMONSETS, DEPLOYMENTS, NODES, PODS, REPLICASETS, KubeApi
from local.cluster.pace import Pace


@dataclass
class ClusterState:
    """What the controllers see of the cluster: an informer for each kind."""

    api: KubeApi
    pace: Pace
    pods: Informer = field(init=False)
    nodes: Informer = field(init=False)
    daemonsets: Informer = field(init=False)
    deployments: Informer = field(init=False)
    replicasets: Informer = field(init=False)
    controllerrevisions: Informer = field(init=False)

    def __post_init__(self) -> None:
        self.pods = Informer(self.api, PODS)
        self.nodes = Informer(self.api, NODES)
        self.daemonsets = Informer(self.api, DAEMONSETS)
        self.deployments = Informer(self.api, DEPLOYMENTS)
        self.replicasets = Informer(self.api, REPLICASETS)
        self.controllerrevisions = Informer(self.api, CONTROLLER_REVISIONS)

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All informers."""
        return (
            self.pods,
            self.nodes,
            self.daemonsets,
            self.deployments,
            self.replicasets,
            self.controllerrevisions,
        )

    def start(self, stop: threading.Event) -> None:
        """Starts all informers; they end when `stop` is set."""
        for informer in self.informers:
            informer.start(stop)
