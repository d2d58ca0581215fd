"""The kinds that the server knows: names, scope, subresources and how they differ in behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.kubernetes.kinds import schema

CRD_GROUP = "apiextensions.k8s.io"
RBAC_GROUP = "rbac.authorization.k8s.io"
ADMISSION_GROUP = "admissionregistration.k8s.io"
BATCH_GROUP = "batch"
DISCOVERY_GROUP = "discovery.k8s.io"
FLOW_GROUP = "flowcontrol.apiserver.k8s.io"
NETWORKING_GROUP = "networking.k8s.io"
STORAGE_GROUP = "storage.k8s.io"
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
        """`group/version`, or `version` alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """The kind of a list of this resource."""
        return f"{self.kind}List"

    def details(self, name: str = "") -> dict[str, Any]:
        """The `details` of a `Status` about this resource, or about its object `name`."""
        details: dict[str, Any] = {"name": name} if name else {}
        if self.group:
            details["group"] = self.group
        details["kind"] = self.plural
        return details


def _builtin(group: str, plural: str, kind: str, model: str = "", **more: Any) -> Resource:
    labels = more.pop("labels", "")
    return Resource(
        group=group,
        version=more.pop("version", "v1"),
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

SERVICE_ACCOUNTS = _builtin(
    "", "serviceaccounts", "ServiceAccount", short_names=("sa",), subresources=("token",), returns_deleted=True
)
SECRETS = _builtin("", "secrets", "Secret", labels="type")
CONFIG_MAPS = _builtin("", "configmaps", "ConfigMap", short_names=("cm",))
ENDPOINTS = _builtin("", "endpoints", "Endpoints", short_names=("ep",))
ENDPOINT_SLICES = _builtin(DISCOVERY_GROUP, "endpointslices", "EndpointSlice")
REPLICATION_CONTROLLERS = _builtin(
    "",
    "replicationcontrollers",
    "ReplicationController",
    short_names=("rc",),
    categories=("all",),
    subresources=STATUS_SCALE,
    has_generation=True,
    labels="status.replicas",
)
JOBS = _builtin(
    BATCH_GROUP,
    "jobs",
    "Job",
    categories=("all",),
    subresources=STATUS,
    has_generation=True,
    labels="status.successful",
)
CRON_JOBS = _builtin(
    BATCH_GROUP,
    "cronjobs",
    "CronJob",
    short_names=("cj",),
    categories=("all",),
    subresources=STATUS,
    has_generation=True,
)
AUTOSCALERS = _builtin(
    "autoscaling",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    "V2HorizontalPodAutoscaler",
    version="v2",
    short_names=("hpa",),
    categories=("all",),
    subresources=STATUS,
)
INGRESSES = _builtin(
    NETWORKING_GROUP, "ingresses", "Ingress", short_names=("ing",), subresources=STATUS, has_generation=True
)
NETWORK_POLICIES = _builtin(
    NETWORKING_GROUP, "networkpolicies", "NetworkPolicy", short_names=("netpol",), has_generation=True
)
VOLUME_CLAIMS = _builtin(
    "", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), subresources=STATUS
)
VOLUMES = _builtin(
    "", "persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",), subresources=STATUS
)
STORAGE_CLASSES = _builtin(STORAGE_GROUP, "storageclasses", "StorageClass", namespaced=False, short_names=("sc",))
PRIORITY_CLASSES = _builtin(
    "scheduling.k8s.io", "priorityclasses", "PriorityClass", namespaced=False, short_names=("pc",), has_generation=True
)
QUOTAS = _builtin("", "resourcequotas", "ResourceQuota", short_names=("quota",), subresources=STATUS)
SIGNING_REQUESTS = _builtin(
    "certificates.k8s.io",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    namespaced=False,
    short_names=("csr",),
    subresources=("status", "approval"),
)

# Stored and listed only: the server never calls a webhook.
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
ADMISSION_POLICIES = _builtin(
    ADMISSION_GROUP,
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
    subresources=STATUS,
    has_generation=True,
    categories=("api-extensions",),
)
ADMISSION_POLICY_BINDINGS = _builtin(
    ADMISSION_GROUP,
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
    has_generation=True,
    categories=("api-extensions",),
)

BUILT_IN = (
    NODES,
    PODS,
    EVENTS,
    NAMESPACES,
    SERVICES,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    ENDPOINTS,
    VOLUME_CLAIMS,
    VOLUMES,
    QUOTAS,
    REPLICATION_CONTROLLERS,
    _builtin("", "limitranges", "LimitRange", short_names=("limits",)),
    _builtin("", "podtemplates", "PodTemplate", has_generation=True),
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    _builtin("apps", "controllerrevisions", "ControllerRevision"),
    JOBS,
    CRON_JOBS,
    AUTOSCALERS,
    PDBS,
    INGRESSES,
    NETWORK_POLICIES,
    _builtin(NETWORKING_GROUP, "ingressclasses", "IngressClass", namespaced=False, has_generation=True),
    _builtin(NETWORKING_GROUP, "ipaddresses", "IPAddress", namespaced=False, short_names=("ip",)),
    _builtin(NETWORKING_GROUP, "servicecidrs", "ServiceCIDR", namespaced=False, subresources=STATUS),
    ENDPOINT_SLICES,
    STORAGE_CLASSES,
    _builtin(STORAGE_GROUP, "csidrivers", "CSIDriver", namespaced=False),
    _builtin(STORAGE_GROUP, "csinodes", "CSINode", namespaced=False),
    _builtin(STORAGE_GROUP, "csistoragecapacities", "CSIStorageCapacity"),
    _builtin(STORAGE_GROUP, "volumeattachments", "VolumeAttachment", namespaced=False, subresources=STATUS),
    PRIORITY_CLASSES,
    SIGNING_REQUESTS,
    _builtin("node.k8s.io", "runtimeclasses", "RuntimeClass", namespaced=False),
    _builtin(FLOW_GROUP, "flowschemas", "FlowSchema", namespaced=False, subresources=STATUS, has_generation=True),
    _builtin(
        FLOW_GROUP,
        "prioritylevelconfigurations",
        "PriorityLevelConfiguration",
        namespaced=False,
        subresources=STATUS,
        has_generation=True,
    ),
    _builtin(
        "apiregistration.k8s.io",
        "apiservices",
        "APIService",
        namespaced=False,
        subresources=STATUS,
        categories=("api-extensions",),
    ),
    _builtin("coordination.k8s.io", "leases", "Lease", create_on_update=True, unconditional_update=False),
    CRDS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
    ROLES,
    ROLE_BINDINGS,
    VALIDATING_WEBHOOKS,
    MUTATING_WEBHOOKS,
    ADMISSION_POLICIES,
    ADMISSION_POLICY_BINDINGS,
)
