"""The fields that the API server fills in, as far as clients of this project can see them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource

_UNREACHABLE_SECONDS = 300
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def set_defaults(resource: Resource, obj: dict[str, Any]) -> None:
    """Defaults of the type itself: after every decode, so on updates as well. Changes `obj`."""
    setter = _DEFAULTS.get(resource)
    if setter is not None:
        setter(obj)


def admit_new(resource: Resource, obj: dict[str, Any]) -> None:
    """What strategies and the default admission plugins put on a new object. Changes `obj`."""
    if "status" in resource.subresources and not resource.keeps_status_on_create:
        obj.pop("status", None)
    if resource.has_generation or resource is resources.PODS:
        obj["metadata"].pop("generation", None)
    admission = _ADMISSION.get(resource)
    if admission is not None:
        admission(obj)


def _fill(target: dict[str, Any], **values: Any) -> None:
    for name, value in values.items():
        target.setdefault(name, value)


def _pod_spec(spec: dict[str, Any]) -> None:
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if "serviceAccountName" in spec:
        _fill(spec, serviceAccount=spec["serviceAccountName"])
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        _container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _volume_source(volume)


def _container(container: dict[str, Any], *, host_network: bool) -> None:
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    latest = tag in ("", "latest") and "@" not in image
    _fill(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if latest else "IfNotPresent",
    )
    for port in container.get("ports") or ():
        _fill(port, protocol="TCP")
        if host_network and "containerPort" in port:
            _fill(port, hostPort=port["containerPort"])
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _fill(reference, apiVersion="v1")
    for name in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(name):
            _fill(container[name], **_PROBE)


def _volume_source(volume: dict[str, Any]) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    if "hostPath" in volume:
        _fill(volume["hostPath"], type="")
    for source in ("configMap", "secret", "projected"):
        if source in volume:
            _fill(volume[source], defaultMode=420)


def _pod(pod: dict[str, Any]) -> None:
    spec = pod.setdefault("spec", {})
    _pod_spec(spec)
    _fill(spec, enableServiceLinks=True)
    _default_tolerations(spec)


def _workload(obj: dict[str, Any], **values: Any) -> dict[str, Any]:
    spec: dict[str, Any] = obj.setdefault("spec", {})
    _fill(spec, **values)
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))
    return spec


def _deployment(obj: dict[str, Any]) -> None:
    spec = _workload(obj, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")


def _daemon_set(obj: dict[str, Any]) -> None:
    spec = _workload(obj, revisionHistoryLimit=10)
    strategy = spec.setdefault("updateStrategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxUnavailable=1, maxSurge=0)


def _replica_set(obj: dict[str, Any]) -> None:
    _workload(obj, replicas=1)


def _stateful_set(obj: dict[str, Any]) -> None:
    values = {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady", "serviceName": ""}
    strategy = _workload(obj, **values).setdefault("updateStrategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), partition=0)


def _webhook_configuration(obj: dict[str, Any]) -> None:
    for webhook in obj.get("webhooks") or ():
        _fill(webhook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
        _fill(webhook, namespaceSelector={}, objectSelector={})
        service = (webhook.get("clientConfig") or {}).get("service")
        if service is not None:
            _fill(service, port=443)
        if obj["kind"] == "MutatingWebhookConfiguration":
            _fill(webhook, reinvocationPolicy="Never")


def _service(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _fill(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or ():
        _fill(port, protocol="TCP", targetPort=port.get("port"))


def _secret(obj: dict[str, Any]) -> None:
    """`stringData` is for writing only: it ends up encoded in `data` (conversion.go of k8s.io/kubernetes/apis/core)."""
    _fill(obj, type="Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _job_spec(spec: dict[str, Any]) -> None:
    _fill(spec, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    _fill(spec, parallelism=1, podReplacementPolicy="TerminatingOrFailed")
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))


def _job(obj: dict[str, Any]) -> None:
    _job_spec(obj.setdefault("spec", {}))


def _cron_job(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    template = job.setdefault("spec", {}).setdefault("template", {})
    template.setdefault("metadata", {})
    _pod_spec(template.setdefault("spec", {}))


def _autoscaler(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    _fill(spec, minReplicas=1, metrics=[{"type": "Resource", "resource": cpu}])


def _network_policy(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    _fill(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def _volume_claim(obj: dict[str, Any]) -> None:
    _fill(obj.setdefault("spec", {}), volumeMode="Filesystem")


def _volume(obj: dict[str, Any]) -> None:
    _fill(obj.setdefault("spec", {}), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _storage_class(obj: dict[str, Any]) -> None:
    _fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(obj: dict[str, Any]) -> None:
    _fill(obj, preemptionPolicy="PreemptLowerPriority")


def _replication_controller(obj: dict[str, Any]) -> None:
    spec = _workload(obj, replicas=1)
    labels = spec["template"]["metadata"].get("labels")
    if labels:
        _fill(spec, selector=labels)


def _node(obj: dict[str, Any]) -> None:
    obj.setdefault("spec", {})
    status = obj.setdefault("status", {})
    _fill(status, nodeInfo={}, daemonEndpoints={"kubeletEndpoint": {"Port": 0}})
    if "capacity" in status:
        _fill(status, allocatable=dict(status["capacity"]))


def _namespace(obj: dict[str, Any]) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]


def _crd(obj: dict[str, Any]) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if "kind" in names:
        _fill(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")
    _fill(spec, conversion={"strategy": "None"})


def _binding(obj: dict[str, Any]) -> None:
    _fill(obj.setdefault("roleRef", {}), apiGroup=resources.RBAC_GROUP)
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            _fill(subject, apiGroup=resources.RBAC_GROUP)


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


def _new_pod(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    _fill(spec, priority=0, preemptionPolicy="PreemptLowerPriority")
    pod["status"] = {"phase": "Pending", "qosClass": _qos_class(spec)}


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


def _qos_class(spec: dict[str, Any]) -> str:
    limits = [
        (container["resources"].get("requests") or {}, container["resources"].get("limits") or {})
        for container in spec.get("containers") or ()
    ]
    if not any(requests or limit for requests, limit in limits):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= limit.keys() and all(requests.get(name, limit[name]) == limit[name] for name in limit)
        for requests, limit in limits
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _new_node(node: dict[str, Any]) -> None:
    # TaintNodesByCondition: a node starts tainted; whoever plays the node controller takes the taint away.
    taints = node["spec"].setdefault("taints", [])
    if not any(taint["key"] == _NOT_READY["key"] for taint in taints):
        taints.append(dict(_NOT_READY))


def _new_namespace(namespace: dict[str, Any]) -> None:
    namespace.setdefault("spec", {})["finalizers"] = ["kubernetes"]
    namespace["status"] = {"phase": "Active"}


def _zero_status(*counters: str) -> Callable[[dict[str, Any]], None]:
    def admit(obj: dict[str, Any]) -> None:
        obj["status"] = dict.fromkeys(counters, 0)

    return admit


def _new_daemon_set(obj: dict[str, Any]) -> None:
    counters = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    obj["status"] = dict.fromkeys(counters, 0)
    obj["metadata"].setdefault("annotations", {})["deprecated.daemonset.template.generation"] = "1"


def _new_job(job: dict[str, Any]) -> None:
    """Jobs select their pods by their own uid (pkg/registry/batch/job/strategy.go)."""
    job["status"] = {}
    spec = job["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    labels = spec["template"]["metadata"].setdefault("labels", {})
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
    labels |= {"controller-uid": uid, "job-name": name}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _new_crd(obj: dict[str, Any]) -> None:
    stored = [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]
    obj["status"] = {"acceptedNames": {"plural": "", "kind": ""}, "conditions": [], "storedVersions": stored}


_ADMISSION: dict[Resource, Callable[[dict[str, Any]], None]] = {
    resources.PODS: _new_pod,
    resources.NODES: _new_node,
    resources.NAMESPACES: _new_namespace,
    resources.DAEMONSETS: _new_daemon_set,
    resources.DEPLOYMENTS: _zero_status(),
    resources.REPLICASETS: _zero_status("replicas"),
    resources.STATEFULSETS: _zero_status("replicas", "availableReplicas"),
    resources.PDBS: _zero_status("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"),
    resources.CRDS: _new_crd,
    resources.JOBS: _new_job,
    resources.CRON_JOBS: _zero_status(),
    resources.REPLICATION_CONTROLLERS: _zero_status("replicas"),
    resources.SERVICES: lambda service: service.update(status={"loadBalancer": {}}),
    resources.INGRESSES: lambda ingress: ingress.update(status={"loadBalancer": {}}),
    resources.VOLUME_CLAIMS: lambda claim: claim.update(status={"phase": "Pending"}),
    resources.VOLUMES: lambda volume: volume.update(status={"phase": "Pending"}),
    resources.QUOTAS: _zero_status(),
}
