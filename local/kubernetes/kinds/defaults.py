"""The fields that the API server fills in after every decode, as far as clients can see them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource

_UNREACHABLE_SECONDS = 300
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def set_defaults(resource: Resource, obj: dict[str, Any]) -> None:
    """Set the type's own defaults, on create and on update. Changes `obj`."""
    setter = _DEFAULTS.get(resource)
    if setter is not None:
        setter(obj)


def fill(target: dict[str, Any], **values: Any) -> None:
    """Sets those `values` that `target` does not have."""
    for name, value in values.items():
        target.setdefault(name, value)


def _pod_spec(spec: dict[str, Any]) -> None:
    fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if "serviceAccountName" in spec:
        fill(spec, serviceAccount=spec["serviceAccountName"])
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        _container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _volume_source(volume)


def _container(container: dict[str, Any], *, host_network: bool) -> None:
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    latest = tag in ("", "latest") and "@" not in image
    fill(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if latest else "IfNotPresent",
    )
    for port in container.get("ports") or ():
        fill(port, protocol="TCP")
        if host_network and "containerPort" in port:
            fill(port, hostPort=port["containerPort"])
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            fill(reference, apiVersion="v1")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(name):
            fill(container[name], **_PROBE)


def _volume_source(volume: dict[str, Any]) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    if "hostPath" in volume:
        fill(volume["hostPath"], type="")
    for source in ("configMap", "secret", "projected"):
        if source in volume:
            fill(volume[source], defaultMode=420)


def _pod(pod: dict[str, Any]) -> None:
    spec = pod.setdefault("spec", {})
    _pod_spec(spec)
    fill(spec, enableServiceLinks=True)
    _default_tolerations(spec)


def _default_tolerations(spec: dict[str, Any]) -> None:
    tolerations = spec.setdefault("tolerations", [])
    # DefaultTolerationSeconds: five minutes on a node that is not ready or not reachable, unless tolerated otherwise.
    for condition in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{condition}"
        if not any(item.get("key", key) == key and _no_execute(item) for item in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _UNREACHABLE_SECONDS,
                }
            )


def _no_execute(toleration: dict[str, Any]) -> bool:
    return bool(toleration.get("effect", "NoExecute") == "NoExecute")


def _workload(obj: dict[str, Any], **values: Any) -> dict[str, Any]:
    spec: dict[str, Any] = obj.setdefault("spec", {})
    fill(spec, **values)
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))
    return spec


def _deployment(obj: dict[str, Any]) -> None:
    spec = _workload(obj, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")


def _daemon_set(obj: dict[str, Any]) -> None:
    spec = _workload(obj, revisionHistoryLimit=10)
    strategy = spec.setdefault("updateStrategy", {})
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable=1, maxSurge=0)


def _replica_set(obj: dict[str, Any]) -> None:
    _workload(obj, replicas=1)


def _stateful_set(obj: dict[str, Any]) -> None:
    values = {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady", "serviceName": ""}
    strategy = _workload(obj, **values).setdefault("updateStrategy", {})
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), partition=0)


def _webhook_configuration(obj: dict[str, Any]) -> None:
    for webhook in obj.get("webhooks") or ():
        fill(webhook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        fill(webhook, namespaceSelector={}, objectSelector={})
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            fill(service, port=443)
        if obj["kind"] == "MutatingWebhookConfiguration":
            fill(webhook, reinvocationPolicy="Never")


def _service(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or ():
        fill(port, protocol="TCP", targetPort=port.get("port"))


def _secret(obj: dict[str, Any]) -> None:
    """`stringData` is for writing only: it ends up encoded in `data` (conversion.go of k8s.io/kubernetes/apis/core)."""
    fill(obj, type="Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _job_spec(spec: dict[str, Any]) -> None:
    fill(spec, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    fill(spec, parallelism=1, podReplacementPolicy="TerminatingOrFailed")
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))


def _job(obj: dict[str, Any]) -> None:
    _job_spec(obj.setdefault("spec", {}))


def _cron_job(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    template = job.setdefault("spec", {}).setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))


def _autoscaler(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    fill(spec, minReplicas=1, metrics=[{"type": "Resource", "resource": cpu}])


def _network_policy(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    fill(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def _volume_claim(obj: dict[str, Any]) -> None:
    fill(obj.setdefault("spec", {}), volumeMode="Filesystem")


def _volume(obj: dict[str, Any]) -> None:
    fill(obj.setdefault("spec", {}), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _storage_class(obj: dict[str, Any]) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(obj: dict[str, Any]) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


def _replication_controller(obj: dict[str, Any]) -> None:
    spec = _workload(obj, replicas=1)
    labels = spec["template"]["metadata"].get("labels")
    if labels:
        fill(spec, selector=labels)


def _node(obj: dict[str, Any]) -> None:
    obj.setdefault("spec", {})
    status = obj.setdefault("status", {})
    fill(status, nodeInfo={}, daemonEndpoints={"kubeletEndpoint": {"Port": 0}})
    if "capacity" in status:
        fill(status, allocatable=dict(status["capacity"]))


def _namespace(obj: dict[str, Any]) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]


def _crd(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if "kind" in names:
        fill(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")
    fill(spec, conversion={"strategy": "None"})


def _binding(obj: dict[str, Any]) -> None:
    fill(obj.setdefault("roleRef", {}), apiGroup=resources.RBAC_GROUP)
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            fill(subject, apiGroup=resources.RBAC_GROUP)


_DEFAULTS: dict[Resource, Callable[[dict[str, Any]], None]] = {
    resources.PODS: _pod,
    resources.NODES: _node,
    resources.NAMESPACES: _namespace,
    resources.SERVICES: _service,
    resources.SECRETS: _secret,
    resources.JOBS: _job,
    resources.CRON_JOBS: _cron_job,
    resources.AUTOSCALERS: _autoscaler,
    resources.NETWORK_POLICIES: _network_policy,
    resources.VOLUME_CLAIMS: _volume_claim,
    resources.VOLUMES: _volume,
    resources.STORAGE_CLASSES: _storage_class,
    resources.PRIORITY_CLASSES: _priority_class,
    resources.REPLICATION_CONTROLLERS: _replication_controller,
    resources.DEPLOYMENTS: _deployment,
    resources.DAEMONSETS: _daemon_set,
    resources.REPLICASETS: _replica_set,
    resources.STATEFULSETS: _stateful_set,
    resources.VALIDATING_WEBHOOKS: _webhook_configuration,
    resources.MUTATING_WEBHOOKS: _webhook_configuration,
    resources.CRDS: _crd,
    resources.CLUSTER_ROLE_BINDINGS: _binding,
    resources.ROLE_BINDINGS: _binding,
}
