"""What `kubectl get` prints: the server-side Table of each kind."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from local.kubernetes.kinds import resources
from local.kubernetes.store import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Stored

Cell = str | int | None
# Column header (wide ones end in "+": shown with -o wide only) -> cell.
Columns = dict[str, "Callable[[dict[str, Any]], Cell]"]
_NONE = "<none>"


def encode_table(resource: Resource, items: Sequence[Stored], metadata: dict[str, Any], include: str) -> bytes:
    """A meta.k8s.io/v1 Table; `include` is the request's includeObject (None, Metadata or Object)."""
    columns = _columns(resource)
    definitions = [
        {
            "name": name.rstrip("+"),
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.endswith("+") else 0,
        }
        for name in columns
    ]
    rows = []
    for stored in items:
        row: dict[str, Any] = {"cells": [cell(stored.obj) for cell in columns.values()]}
        if include != "None":
            row["object"] = stored.obj if include == "Object" else _metadata_only(stored.obj)
        rows.append(row)
    table = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return encode({**table, "columnDefinitions": definitions, "rows": rows})


def _metadata_only(obj: dict[str, Any]) -> dict[str, Any]:
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**kind, "metadata": obj["metadata"]}


def _columns(resource: Resource) -> Columns:
    if not resource.custom:
        return _BUILT_IN.get(resource, _DEFAULT)
    if not resource.printer_columns:
        return _DEFAULT
    columns: Columns = {"Name": _name}
    for column in resource.printer_columns:
        header = column.name + ("+" if column.priority else "")
        columns[header] = _custom_cell(column.json_path, column.type)
    return columns


def _custom_cell(json_path: str, kind: str) -> Callable[[dict[str, Any]], Cell]:
    def cell(obj: dict[str, Any]) -> Cell:
        value = json_path_value(obj, json_path)
        if value is None:
            return None
        if kind == "date":
            return age(str(value))
        return value if isinstance(value, str | int) else encode(value).decode()

    return cell


def json_path_value(obj: Any, path: str) -> Any:
    """The JSONPath of printer columns: fields, indexes and one-condition filters; the first match or None."""
    for name, index, key, wanted in re.findall(
        r"\.([\w-]+)|\[(\d+|\*)\]|\[\?\(@\.(\w+)\s*==\s*[\"']([^\"']*)[\"']\)\]", path
    ):
        if name:
            obj = obj.get(name) if isinstance(obj, dict) else None
        elif not isinstance(obj, list):
            return None
        elif index:
            position = 0 if index == "*" else int(index)
            obj = obj[position] if position < len(obj) else None
        else:
            obj = next((item for item in obj if str(item.get(key)) == wanted), None)
    return obj


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


def _name(obj: dict[str, Any]) -> Cell:
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
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or _NONE


def _role_ref(binding: dict[str, Any]) -> Cell:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"


_DEFAULT: Columns = {"Name": _name, "Age": _age}
_CREATED: Columns = {"Name": _name, "Created At": _created}
_BINDING: Columns = {"Name": _name, "Role": _role_ref, "Age": _age}
_WEBHOOKS: Columns = {"Name": _name, "Webhooks": lambda obj: len(obj.get("webhooks") or ()), "Age": _age}
_TEMPLATE: Columns = {
    "Containers+": _containers("name"),
    "Images+": _containers("image"),
    "Selector+": _selector,
}
_BUILT_IN: dict[Resource, Columns] = {
    resources.PODS: {
        "Name": _name,
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
        "Name": _name,
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
        "Name": _name,
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
        "Name": _name,
        "Ready": _replicas_ready,
        "Up-to-date": _at("status", "updatedReplicas", unset=0),
        "Available": _at("status", "availableReplicas", unset=0),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.REPLICASETS: {
        "Name": _name,
        "Desired": _at("spec", "replicas", unset=0),
        "Current": _at("status", "replicas", unset=0),
        "Ready": _at("status", "readyReplicas", unset=0),
        "Age": _age,
        **_TEMPLATE,
    },
    resources.STATEFULSETS: {
        "Name": _name,
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
        "Name+": _name,
    },
    resources.NAMESPACES: {"Name": _name, "Status": _at("status", "phase"), "Age": _age},
    resources.SERVICES: {
        "Name": _name,
        "Type": _at("spec", "type"),
        "Cluster-IP": _at("spec", "clusterIP"),
        "External-IP": lambda _service: _NONE,
        "Port(s)": _service_ports,
        "Age": _age,
    },
    resources.PDBS: {
        "Name": _name,
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
