"""What the API server refuses with 422, as far as clients of the stack meet it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from local.kubernetes.errors import FieldError, forbidden_value, invalid_value, required
from local.kubernetes.kinds import resources
from local.kubernetes.reads import selectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.kubernetes.kinds.resources import Resource

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_NAME_PART_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_NAME_PART}')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    f"is '{_LABEL_VALUE}')"
)
_POD_SPEC_CHANGES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_IMMUTABLE = "field is immutable"


# Wherever a built-in kind has a field of this name in its spec.
_NONNEGATIVE = (
    "replicas",
    "minReadySeconds",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "parallelism",
    "completions",
    "backoffLimit",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "startingDeadlineSeconds",
    "successfulJobsHistoryLimit",
    "failedJobsHistoryLimit",
    "minAvailable",
    "maxUnavailable",
)
_NONNEGATIVE_RULE = "must be greater than or equal to 0"


def problems(resource: Resource, new: dict[str, Any], old: dict[str, Any] | None) -> list[FieldError]:
    """Every problem of an object that is about to replace `old` (None: to be created)."""
    all_problems = list(_metadata(resource, new["metadata"], old))
    if not resource.custom:
        all_problems += _nonnegative(new)
    check = _KINDS.get(resource)
    if check is not None:
        all_problems += check(new)
    change = _CHANGES.get(resource)
    if change is not None and old is not None:
        all_problems += change(new, old)
    return all_problems


def _metadata(resource: Resource, metadata: dict[str, Any], old: dict[str, Any] | None) -> Iterator[FieldError]:
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif resource.group != resources.RBAC_GROUP:
        pattern, rule = _name_rule(resource)
        if not re.fullmatch(pattern, name):
            yield invalid_value("metadata.name", name, rule)
    for key, value in (metadata.get("labels") or {}).items():
        if not re.fullmatch(_NAME_PART, key.rsplit("/", 1)[-1]):
            yield invalid_value("metadata.labels", key, _NAME_PART_RULE)
        if not re.fullmatch(_LABEL_VALUE, value):
            yield invalid_value("metadata.labels", value, _LABEL_VALUE_RULE)
    if old is not None and old["metadata"].get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
        if added:
            listed = ", ".join(f'"{item}"' for item in sorted(added))
            yield forbidden_value(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}",
            )


def _name_rule(resource: Resource) -> tuple[str, str]:
    labelled = resource in (resources.NAMESPACES, resources.SERVICES)
    return (_LABEL, _LABEL_RULE) if labelled else (_SUBDOMAIN, _SUBDOMAIN_RULE)


def _pod_spec(spec: dict[str, Any], path: str) -> Iterator[FieldError]:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for list_name in ("initContainers", "containers"):
        names = set()
        for index, container in enumerate(spec.get(list_name) or ()):
            at = f"{path}.{list_name}[{index}]"
            name = container.get("name")
            if not name:
                yield required(f"{at}.name")
            elif not re.fullmatch(_LABEL, name):
                yield invalid_value(f"{at}.name", name, _LABEL_RULE)
            elif name in names:
                yield FieldError("FieldValueDuplicate", f"{at}.name", f'Duplicate value: "{name}"')
            names.add(name)
            if not container.get("image"):
                yield required(f"{at}.image")


def _pod(pod: dict[str, Any]) -> Iterator[FieldError]:
    yield from _pod_spec(pod["spec"], "spec")


def _pod_change(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    if _frozen_spec(new["spec"]) != _frozen_spec(old["spec"]):
        yield forbidden_value("spec", _POD_SPEC_CHANGES)
    kept = new["spec"].get("tolerations") or ()
    if any(toleration not in kept for toleration in old["spec"].get("tolerations") or ()):
        yield forbidden_value(
            "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
        )


def _frozen_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A pod's spec without the fields that may change in place."""
    frozen = {
        name: value
        for name, value in spec.items()
        if name not in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
    }
    for name in ("containers", "initContainers"):
        if name in frozen:
            frozen[name] = [{**container, "image": ""} for container in frozen[name]]
    return frozen


def _nonnegative(obj: dict[str, Any]) -> Iterator[FieldError]:
    """Counts and seconds of a spec that must not be negative (ValidateNonnegativeField of k8s.io/kubernetes)."""
    spec = obj.get("spec") or {}
    for name in _NONNEGATIVE:
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield invalid_value(f"spec.{name}", value, _NONNEGATIVE_RULE)


def _workload(obj: dict[str, Any]) -> Iterator[FieldError]:
    spec = obj["spec"]
    selector = spec.get("selector")
    labels = spec["template"]["metadata"].get("labels")
    if not selector:
        yield required("spec.selector")
    if not selector or not selectors.match_labels(selector)(spec["template"]):
        shown = "map[string]string(nil)"
        if labels is not None:
            pairs = ", ".join(f'"{key}":"{value}"' for key, value in labels.items())
            shown = f"map[string]string{{{pairs}}}"
        problem = "`selector` does not match template `labels`"
        field = "spec.template.metadata.labels"
        yield FieldError("FieldValueInvalid", field, f"Invalid value: {shown}: {problem}")
    yield from _pod_spec(spec["template"]["spec"], "spec.template.spec")


def _job(job: dict[str, Any]) -> Iterator[FieldError]:
    yield from _job_template(job["spec"]["template"], "spec.template")


def _job_template(template: dict[str, Any], path: str) -> Iterator[FieldError]:
    yield from _pod_spec(template["spec"], f"{path}.spec")
    if template["spec"].get("restartPolicy") not in ("OnFailure", "Never"):
        yield required(f"{path}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def _cron_job(cron: dict[str, Any]) -> Iterator[FieldError]:
    if not cron["spec"].get("schedule"):
        yield required("spec.schedule")
    yield from _job_template(cron["spec"]["jobTemplate"]["spec"]["template"], "spec.jobTemplate.spec.template")


def _autoscaler(autoscaler: dict[str, Any]) -> Iterator[FieldError]:
    spec = autoscaler["spec"]
    if spec.get("maxReplicas", 0) < 1:
        yield invalid_value("spec.maxReplicas", spec.get("maxReplicas", 0), "must be greater than 0")
    if spec["minReplicas"] < 1:
        yield invalid_value("spec.minReplicas", spec["minReplicas"], "must be greater than or equal to 1")
    elif spec.get("maxReplicas", 0) < spec["minReplicas"]:
        rule = "must be greater than or equal to `minReplicas`"
        yield invalid_value("spec.maxReplicas", spec.get("maxReplicas", 0), rule)


def _service(service: dict[str, Any]) -> Iterator[FieldError]:
    spec = service["spec"]
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(spec.get("ports") or ()):
        if not 1 <= port.get("port", 0) <= 65535:
            rule = "must be between 1 and 65535, inclusive"
            yield invalid_value(f"spec.ports[{index}].port", port.get("port", 0), rule)


def _service_change(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after and before != after:
        yield invalid_value("spec.clusterIPs[0]", [after], "may not change once set")


def _workload_change(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        yield invalid_value("spec.selector", new["spec"].get("selector"), _IMMUTABLE)


def _node_change(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    before = old["spec"].get("providerID")
    if before and new["spec"].get("providerID") != before:
        problem = 'node updates may not change providerID except from "" to valid'
        yield forbidden_value("spec.providerID", problem)


def _event(event: dict[str, Any]) -> Iterator[FieldError]:
    about = event.get("involvedObject") or {}
    # Events about cluster-scoped objects have no namespace and live in `default`.
    namespace = about.get("namespace") or "default"
    if namespace != event["metadata"].get("namespace"):
        yield invalid_value("involvedObject.namespace", about.get("namespace", ""), "does not match event.namespace")


def _crd(crd: dict[str, Any]) -> Iterator[FieldError]:
    spec = crd["spec"]
    names = spec.get("names") or {}
    for field in ("group", "scope"):
        if not spec.get(field):
            yield required(f"spec.{field}")
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    if crd["metadata"].get("name") != f"{names.get('plural')}.{spec.get('group')}":
        rule = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", crd["metadata"].get("name", ""), rule)
    versions = spec.get("versions") or []
    if sum(1 for version in versions if version.get("storage")) != 1:
        rule = "must have exactly one version marked as storage version"
        yield FieldError("FieldValueInvalid", "spec.versions", f"Invalid value: {len(versions)} items: {rule}")
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
    if sum(1 for version in versions if version.get("served")) > 1:
        yield forbidden_value("spec.versions", "the embedded API server serves one version per definition")


def _role(role: dict[str, Any]) -> Iterator[FieldError]:
    for index, rule in enumerate(role.get("rules") or ()):
        if not rule.get("verbs"):
            yield required(f"rules[{index}].verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            yield required(f"rules[{index}].apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"rules[{index}].resources", "resource rules must supply at least one resource")


def _binding_change(new: dict[str, Any], old: dict[str, Any]) -> Iterator[FieldError]:
    if new["roleRef"] != old["roleRef"]:
        yield invalid_value("roleRef", new["roleRef"], "cannot change roleRef")


def _pdb(pdb: dict[str, Any]) -> Iterator[FieldError]:
    spec = pdb.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        rule = "minAvailable and maxUnavailable cannot be both set"
        yield FieldError("FieldValueInvalid", "spec", f"Invalid value: {rule}")


_KINDS: dict[Resource, Callable[[dict[str, Any]], Iterator[FieldError]]] = {
    resources.PODS: _pod,
    resources.DEPLOYMENTS: _workload,
    resources.DAEMONSETS: _workload,
    resources.REPLICASETS: _workload,
    resources.STATEFULSETS: _workload,
    resources.JOBS: _job,
    resources.CRON_JOBS: _cron_job,
    resources.AUTOSCALERS: _autoscaler,
    resources.SERVICES: _service,
    resources.EVENTS: _event,
    resources.CRDS: _crd,
    resources.CLUSTER_ROLES: _role,
    resources.ROLES: _role,
    resources.PDBS: _pdb,
}
_CHANGES: dict[Resource, Callable[[dict[str, Any], dict[str, Any]], Iterator[FieldError]]] = {
    resources.PODS: _pod_change,
    resources.DEPLOYMENTS: _workload_change,
    resources.DAEMONSETS: _workload_change,
    resources.REPLICASETS: _workload_change,
    resources.STATEFULSETS: _workload_change,
    resources.SERVICES: _service_change,
    resources.NODES: _node_change,
    resources.CLUSTER_ROLE_BINDINGS: _binding_change,
    resources.ROLE_BINDINGS: _binding_change,
}
