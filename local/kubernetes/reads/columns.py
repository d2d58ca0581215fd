"""The columns that `kubectl get` prints for each built-in kind."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.kubernetes.kinds.resources import Resource

Cell = str | int | None
# Column header (wide ones end in "+": shown with -o wide only) -> cell.
Columns = dict[str, "Callable[[dict[str, Any]], Cell]"]
_NONE = "<none>"


def age(timestamp: str | None) -> str:
    """Time since an RFC 3339 timestamp, as kubectl shows it."""
    if not timestamp:
        return "<unknown>"
    then = dt.datetime.fromisoformat(timestamp)
    return duration(int((dt.datetime.now(dt.UTC) - then).total_seconds()))


def duration(seconds: int) -> str:
    """Kubernetes' HumanDuration: two units while small, one when large."""
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


def object_name(obj: dict[str, Any]) -> Cell:
    """The cell of the column NAME."""
    return str(obj["metadata"]["name"])


def _age(obj: dict[str, Any]) -> Cell:
    return age(obj["metadata"].get("creationTimestamp"))


def _created(obj: dict[str, Any]) -> Cell:
    return str(obj["metadata"].get("creationTimestamp"))


def _at(*path: str, unset: Cell = _NONE) -> Callable[[dict[str, Any]], Cell]:
    def cell(obj: dict[str, Any]) -> Cell:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return unset if value is None or value == "" else value

    return cell


def _pod_ready(pod: dict[str, Any]) -> Cell:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return f"{sum(1 for item in statuses if item.get('ready'))}/{len(pod['spec'].get('containers') or ())}"


def _pod_status(pod: dict[str, Any]) -> Cell:
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        reason = (state.get("waiting") or state.get("terminated") or {}).get("reason")
        if reason:
            return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod_restarts(pod: dict[str, Any]) -> Cell:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(int(item.get("restartCount", 0)) for item in statuses)


def _node_status(node: dict[str, Any]) -> Cell:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((item["status"] for item in conditions if item["type"] == "Ready"), "Unknown")
    words = [{"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")]
    if (node.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: dict[str, Any]) -> Cell:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(name.removeprefix(prefix) for name in labels if name.startswith(prefix))) or _NONE


def _node_address(kind: str) -> Callable[[dict[str, Any]], Cell]:
    def cell(node: dict[str, Any]) -> Cell:
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((str(item["address"]) for item in addresses if item["type"] == kind), _NONE)

    return cell


def _containers(field: str) -> Callable[[dict[str, Any]], Cell]:
    def cell(obj: dict[str, Any]) -> Cell:
        return ",".join(str(item.get(field, "")) for item in obj["spec"]["template"]["spec"].get("containers") or ())

    return cell


def _pairs(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or _NONE


def _selector(obj: dict[str, Any]) -> Cell:
    return _pairs((obj["spec"].get("selector") or {}).get("matchLabels"))


def _replicas_ready(obj: dict[str, Any]) -> Cell:
    return f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"


def _event_object(event: dict[str, Any]) -> Cell:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_seen(first: str, second: str) -> Callable[[dict[str, Any]], Cell]:
    return lambda event: age(event.get(first) or event.get(second) or event.get("eventTime"))


def _event_source(event: dict[str, Any]) -> Cell:
    source = event.get("source") or {}
    return ", ".join(part for part in (source.get("component"), source.get("host")) if part)


def _service_ports(service: dict[str, Any]) -> Cell:
    ports = service["spec"].get("ports") or ()
    return ",".join(f"{_port_numbers(port)}/{port.get('protocol', 'TCP')}" for port in ports) or _NONE


def _port_numbers(port: dict[str, Any]) -> str:
    return f"{port['port']}:{port['nodePort']}" if port.get("nodePort") else str(port["port"])


def _service_outside(service: dict[str, Any]) -> Cell:
    spec = service["spec"]
    if spec.get("type") == "LoadBalancer":
        return "<pending>"  # nothing makes load balancers here
    return str(spec.get("externalName") or _NONE)


def _count(*fields: str) -> Callable[[dict[str, Any]], Cell]:
    return lambda obj: sum(len(obj.get(name) or ()) for name in fields)


def _hosts(ingress: dict[str, Any]) -> Cell:
    return ",".join(str(rule.get("host") or "*") for rule in ingress["spec"].get("rules") or ()) or "*"


def _scaled(autoscaler: dict[str, Any]) -> Cell:
    reference = autoscaler["spec"]["scaleTargetRef"]
    return f"{reference.get('kind')}/{reference.get('name')}"


def _role_ref(binding: dict[str, Any]) -> Cell:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"


DEFAULT: Columns = {"Name": object_name, "Age": _age}
_CREATED: Columns = {"Name": object_name, "Created At": _created}
_BINDING: Columns = {"Name": object_name, "Role": _role_ref, "Age": _age}
_WEBHOOKS: Columns = {"Name": object_name, "Webhooks": lambda obj: len(obj.get("webhooks") or ()), "Age": _age}
_TEMPLATE: Columns = {
    "Containers+": _containers("name"),
    "Images+": _containers("image"),
    "Selector+": _selector,
}
BUILT_IN: dict[Resource, Columns] = {
    resources.PODS: {
        "Name": object_name,
        "Ready": _pod_ready,
        "Status": _pod_status,
        "Restarts": _pod_restarts,
        "Age": _age,
        "IP+": _at("status", "podIP"),
        "Node+": _at("spec", "nodeName"),
        "Nominated Node+": _at("status", "nominatedNodeName"),
        "Readiness Gates+": lambda _pod: _NONE,
    },
    resources.NODES: {
        "Name": object_name,
        "Status": _node_status,
        "Roles": _node_roles,
        "Age": _age,
        "Version": _at("status", "nodeInfo", "kubeletVersion", unset=""),
        "Internal-IP+": _node_address("InternalIP"),
        "External-IP+": _node_address("ExternalIP"),
        "OS-Image+": _at("status", "nodeInfo", "osImage", unset="<unknown>"),
        "Kernel-Version+": _at("status", "nodeInfo", "kernelVersion", unset="<unknown>"),
        "Container-Runtime+": _at("status", "nodeInfo", "containerRuntimeVersion", unset="<unknown>"),
    },
    resources.DAEMONSETS: {
        "Name": object_name,
        "Desired": _at("status", "desiredNumberScheduled", unset=0),
        "Current": _at("status", "currentNumberScheduled", unset=0),
        "Ready": _at("status", "numberReady", unset=0),
        "Up-to-date": _at("status", "updatedNumberScheduled", unset=0),
        "Available": _at("status", "numberAvailable", unset=0),
        "Node Selector": lambda obj: _pairs(obj["spec"]["template"]["spec"].get("nodeSelector")),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.DEPLOYMENTS: {
        "Name": object_name,
        "Ready": _replicas_ready,
        "Up-to-date": _at("status", "updatedReplicas", unset=0),
        "Available": _at("status", "availableReplicas", unset=0),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.REPLICASETS: {
        "Name": object_name,
        "Desired": _at("spec", "replicas", unset=0),
        "Current": _at("status", "replicas", unset=0),
        "Ready": _at("status", "readyReplicas", unset=0),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.STATEFULSETS: {
        "Name": object_name,
        "Ready": _replicas_ready,
        "Age": _age,
        **_TEMPLATE,
    },
    resources.VALIDATING_WEBHOOKS: _WEBHOOKS,
    resources.MUTATING_WEBHOOKS: _WEBHOOKS,
    resources.EVENTS: {
        "Last Seen": _event_seen("lastTimestamp", "firstTimestamp"),
        "Type": _at("type", unset=""),
        "Reason": _at("reason", unset=""),
        "Object": _event_object,
        "Subobject+": _at("involvedObject", "fieldPath", unset=""),
        "Source+": _event_source,
        "Message": lambda event: str(event.get("message", "")).strip(),
        "First Seen+": _event_seen("firstTimestamp", "lastTimestamp"),
        "Count+": _at("count", unset=1),
        "Name+": object_name,
    },
    resources.NAMESPACES: {"Name": object_name, "Status": _at("status", "phase"), "Age": _age},
    resources.SERVICES: {
        "Name": object_name,
        "Type": _at("spec", "type"),
        "Cluster-IP": _at("spec", "clusterIP"),
        "External-IP": _service_outside,
        "Port(s)": _service_ports,
        "Age": _age,
    },
    resources.CONFIG_MAPS: {"Name": object_name, "Data": _count("data", "binaryData"), "Age": _age},
    resources.SECRETS: {"Name": object_name, "Type": _at("type"), "Data": _count("data"), "Age": _age},
    resources.SERVICE_ACCOUNTS: {"Name": object_name, "Secrets": _count("secrets"), "Age": _age},
    resources.JOBS: {
        "Name": object_name,
        "Completions": lambda job: (
            f"{(job.get('status') or {}).get('succeeded', 0)}/{job['spec'].get('completions', 1)}"
        ),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.CRON_JOBS: {
        "Name": object_name,
        "Schedule": _at("spec", "schedule"),
        "Timezone": _at("spec", "timeZone"),
        "Suspend": lambda cron: str(bool(cron["spec"].get("suspend"))),
        "Active": lambda cron: len((cron.get("status") or {}).get("active") or ()),
        "Age": _age,
    },
    resources.INGRESSES: {
        "Name": object_name,
        "Class": _at("spec", "ingressClassName"),
        "Hosts": _hosts,
        "Address": _at("status", "loadBalancer", "address", unset=""),
        "Ports": lambda ingress: "80, 443" if ingress["spec"].get("tls") else "80",
        "Age": _age,
    },
    resources.AUTOSCALERS: {
        "Name": object_name,
        "Reference": _scaled,
        "MinPods": _at("spec", "minReplicas", unset=1),
        "MaxPods": _at("spec", "maxReplicas"),
        "Replicas": _at("status", "currentReplicas", unset=0),
        "Age": _age,
    },
    resources.PDBS: {
        "Name": object_name,
        "Min Available": _at("spec", "minAvailable", unset="N/A"),
        "Max Unavailable": _at("spec", "maxUnavailable", unset="N/A"),
        "Allowed Disruptions": _at("status", "disruptionsAllowed", unset=0),
        "Age": _age,
    },
    resources.CRDS: _CREATED,
    resources.CLUSTER_ROLES: _CREATED,
    resources.ROLES: _CREATED,
    resources.CLUSTER_ROLE_BINDINGS: _BINDING,
    resources.ROLE_BINDINGS: _BINDING,
}
