"""The kinds that the server knows: names, scope, subresources and the switches that set them apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.kubernetes.kinds import schema

CRD_GROUP = "apiextensions.k8s.io"
RBAC_GROUP = "rbac.authorization.k8s.io"
ADMISSION_GROUP = "admissionregistration.k8s.io"
STATUS = ("status",)
STATUS_SCALE = ("status", "scale")
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
# What selects events in kubectl describe, client-go's recorder and this project's sweep.
_EVENT_LABELS = (
    "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
    "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath "
    "reason reportingComponent source type"
)
_POD_LABELS = (
    "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
    "status.phase status.podIP status.nominatedNodeName"
)


@dataclass(frozen=True)
class PrinterColumn:
    """One of a custom resource's `additionalPrinterColumns`."""

    name: str
    type: str
    json_path: str
    priority: int = 0


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource of one API version, built-in or defined by a CustomResourceDefinition."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    schema: dict[str, Any] = field(repr=False)
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    field_labels: frozenset[str] = frozenset()
    custom: bool = False
    has_generation: bool = False
    keeps_status_on_create: bool = False  # nodes register with their status
    returns_deleted: bool = False  # DELETE answers with the object instead of a Status
    unconditional_update: bool = True  # PUT without resourceVersion is taken
    create_on_update: bool = False  # PUT of an unknown name creates
    printer_columns: tuple[PrinterColumn, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    def details(self, name: str = "") -> dict[str, Any]:
        details: dict[str, Any] = {"name": name} if name else {}
        if self.group:
            details["group"] = self.group
        details["kind"] = self.plural
        return details


def _builtin(group: str, plural: str, kind: str, model: str = "", **more: Any) -> Resource:
    labels = more.pop("labels", "")
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        namespaced=more.pop("namespaced", True),
        schema=schema.ref(model or f"V1{kind}"),
        singular=kind.lower(),
        field_labels=frozenset(labels.split()),
        **more,
    )


NODES = _builtin(
    "",
    "nodes",
    "Node",
    namespaced=False,
    short_names=("no",),
    subresources=STATUS,
    labels="spec.unschedulable",
    keeps_status_on_create=True,
)
PODS = _builtin(
    "",
    "pods",
    "Pod",
    short_names=("po",),
    categories=("all",),
    subresources=STATUS,
    labels=_POD_LABELS,
    returns_deleted=True,
)
EVENTS = _builtin(
    "", "events", "Event", "CoreV1Event", short_names=("ev",), labels=_EVENT_LABELS, create_on_update=True
)
NAMESPACES = _builtin(
    "",
    "namespaces",
    "Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=STATUS,
    labels="status.phase",
)
SERVICES = _builtin("", "services", "Service", short_names=("svc",), categories=("all",), subresources=STATUS)
DAEMONSETS = _builtin(
    "apps",
    "daemonsets",
    "DaemonSet",
    short_names=("ds",),
    categories=("all",),
    subresources=STATUS,
    has_generation=True,
)
DEPLOYMENTS = _builtin(
    "apps",
    "deployments",
    "Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=STATUS_SCALE,
    has_generation=True,
)
REPLICASETS = _builtin(
    "apps",
    "replicasets",
    "ReplicaSet",
    short_names=("rs",),
    categories=("all",),
    subresources=STATUS_SCALE,
    has_generation=True,
    labels="status.replicas",
)
STATEFULSETS = _builtin(
    "apps",
    "statefulsets",
    "StatefulSet",
    short_names=("sts",),
    categories=("all",),
    subresources=STATUS_SCALE,
    has_generation=True,
)
PDBS = _builtin(
    "policy",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    short_names=("pdb",),
    subresources=STATUS,
    has_generation=True,
    unconditional_update=False,
)
CRDS = _builtin(
    CRD_GROUP,
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=STATUS,
    has_generation=True,
    unconditional_update=False,
)
CLUSTER_ROLES = _builtin(RBAC_GROUP, "clusterroles", "ClusterRole", namespaced=False, create_on_update=True)
CLUSTER_ROLE_BINDINGS = _builtin(
    RBAC_GROUP, "clusterrolebindings", "ClusterRoleBinding", namespaced=False, create_on_update=True
)
ROLES = _builtin(RBAC_GROUP, "roles", "Role", create_on_update=True)
ROLE_BINDINGS = _builtin(RBAC_GROUP, "rolebindings", "RoleBinding", create_on_update=True)

# Kept and listed; no request is sent to the webhooks.
VALIDATING_WEBHOOKS, MUTATING_WEBHOOKS = (
    _builtin(
        ADMISSION_GROUP,
        f"{kind.lower()}configurations",
        f"{kind}Configuration",
        namespaced=False,
        has_generation=True,
        categories=("api-extensions",),
    )
    for kind in ("ValidatingWebhook", "MutatingWebhook")
)

BUILT_IN = (
    NODES,
    PODS,
    EVENTS,
    NAMESPACES,
    SERVICES,
    _builtin("", "configmaps", "ConfigMap", short_names=("cm",)),
    _builtin("", "secrets", "Secret", labels="type"),
    _builtin("", "serviceaccounts", "ServiceAccount", short_names=("sa",), returns_deleted=True),
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    _builtin("apps", "controllerrevisions", "ControllerRevision"),
    PDBS,
    _builtin("coordination.k8s.io", "leases", "Lease", create_on_update=True, unconditional_update=False),
    CRDS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
    ROLES,
    ROLE_BINDINGS,
    VALIDATING_WEBHOOKS,
    MUTATING_WEBHOOKS,
)
