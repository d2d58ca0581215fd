"""One kubelet for each node, and the ipamd that its aws-node pod starts."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from local.cluster.controllers.node_lifecycle import UNSCHEDULABLE_TAINT
from local.cluster.events import EventRecorder, reference_to
from local.cluster.ipamd.agent import Ipamd
from local.cluster.ipamd.ec2 import NodeEc2, describe_instance
from local.cluster.ipamd.growth import EniConfigMissing
from local.cluster.ipamd.settings import CniSettings, NodeLimits, cni_settings, eni_config_name
from local.cluster.kube import ENICONFIGS, NODES, ApiError
from local.cluster.nodes.kubelet import Kubelet
from local.cluster.objects import Obj, node_of, timestamp, utc_now

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from local.cluster.state import ClusterState

_IAM_HELP = (
    "Please refer https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md "
    "to attach relevant policy to IAM role"
)


class Nodes:
    """Starts a kubelet for each node that is an EC2 instance, and stops it with the node."""

    def __init__(self, state: ClusterState, cni: VpcCni) -> None:
        self._state = state
        self._cni = cni
        self._kubelets: dict[str, Kubelet] = {}
        self._lock = threading.Lock()
        self._started = False
        state.pods.on_change(self._pod_changed)
        state.nodes.on_change(self._node_changed)

    def start(self) -> None:
        """Call it once all informers are synced: a kubelet must know its pods before it acts."""
        with self._lock:
            self._started = True
        for node in self._state.nodes.all():
            self._node_changed(None, node)

    def stop(self) -> None:
        """Stops all kubelets."""
        with self._lock:
            for kubelet in self._kubelets.values():
                kubelet.worker.stop()

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        with self._lock:
            if new is None:
                gone = self._kubelets.pop(name, None)
                if gone is not None:
                    gone.worker.stop()
            elif self._started and name not in self._kubelets and instance_id(new):
                kubelet = self._kubelets[name] = Kubelet(self._state, name, self._cni)
                kubelet.start()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        with self._lock:
            kubelet = self._kubelets.get(node_of(pod) or "") if pod else None
        if kubelet is not None and pod is not None:
            kubelet.pod_changed(pod)


class VpcCni:
    """Creates the ipamd of a node from its instance, its labels and the environment of its aws-node pod."""

    def __init__(self, state: ClusterState, ec2: EC2Client, cluster: str, log_dir: Path | None) -> None:
        self._state = state
        self._ec2 = ec2
        self._cluster = cluster
        self._log_dir = log_dir

    def create(self, node: Obj, aws_node_pod: Obj, environment: dict[str, str], recorder: EventRecorder) -> Ipamd:
        """Raises Ec2Failure when the instance cannot be described."""
        name = node["metadata"]["name"]
        log = _node_log(name, self._log_dir)
        instance = describe_instance(self._ec2, instance_id(node))
        limits = NodeLimits(
            max_enis=instance.max_enis,
            slots_per_eni=instance.addresses_per_eni - 1,
            max_pods=pod_capacity(node),
            trunking_compatible=instance.trunking_compatible,
            prefixes_supported=instance.prefixes_supported,
        )
        subject = reference_to(aws_node_pod, "Pod")

        def denied(api: str) -> None:
            message = f"Unauthorized operation: failed to call {api} due to missing permissions. {_IAM_HELP}"
            recorder.record(subject, "Warning", "MissingIAMPermissions", message)

        return Ipamd(
            NodeEc2(self._ec2, instance, self._cluster, log),
            cni_settings(environment),
            limits,
            clock=self._state.pace.now,
            read_eni_config=lambda settings: self._eni_config(name, settings),
            denied=denied,
            log=log,
            is_cordoned=lambda: is_cordoned(self._state.nodes.get(name)),
        )

    def _eni_config(self, node_name: str, settings: CniSettings) -> tuple[str, tuple[str, ...]]:
        node = self._state.api.get(NODES.path(name=node_name))
        metadata = node["metadata"]
        name = eni_config_name(settings, metadata.get("labels") or {}, metadata.get("annotations") or {})
        try:
            config = self._state.api.get(ENICONFIGS.path(name=name))
        except ApiError as error:
            if error.status != 404:
                raise
            raise EniConfigMissing(name) from error
        spec = config["spec"]
        return spec["subnet"], tuple(spec.get("securityGroups") or ())


def pod_capacity(node: Obj) -> int:
    """ipamd.go:613: what the kubelet says the node can hold at most."""
    return int(((node.get("status") or {}).get("capacity") or {}).get("pods", 110))


def is_cordoned(node: Obj | None) -> bool:
    """ipamd.go:2255, isNodeNonSchedulable: by the taint, which follows `spec.unschedulable`."""
    taints = (node or {}).get("spec", {}).get("taints") or []
    return any(taint["key"] == UNSCHEDULABLE_TAINT and taint.get("effect") == "NoSchedule" for taint in taints)


def instance_id(node: Obj) -> str:
    """From `aws:///<zone>/i-...`; "" for a node of another kind (Fargate, hybrid)."""
    last = str(node["spec"].get("providerID") or "").rpartition("/")[2]
    return last if last.startswith("i-") else ""


class _JsonLines(logging.Formatter):
    """Log lines as ipamd's zap logger writes them."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "level": "warn" if record.levelname == "WARNING" else record.levelname.lower(),
                "ts": timestamp(utc_now()),
                "caller": f"ipamd/{record.filename}:{record.lineno}",
                "msg": record.getMessage(),
            }
        )


def _node_log(node: str, folder: Path | None) -> logging.Logger:
    """The node's ipamd.log under `folder`; without a folder the lines go nowhere."""
    log = logging.getLogger(f"ipamd.{node}")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    if not log.handlers:
        handler: logging.Handler = logging.NullHandler()
        if folder is not None:
            (folder / node).mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(folder / node / "ipamd.log")
            handler.setFormatter(_JsonLines())
        log.addHandler(handler)
    return log
