"""What a control plane does without being asked: namespaces end, and get their service account and authority."""

from __future__ import annotations

import pytest
from kubernetes import client

from local.cluster.kube import KubeApi
from local.cluster.nodes import leases
from tests.stack.kubernetes.support import eniconfig, eventually, pod, refused, workload
from tests.support.patience import within


def exists(read, *arguments):
    """The object, None when there is none."""
    try:
        return read(*arguments)
    except client.ApiException as error:
        if error.status != 404:
            raise
        return None


def test_a_deleted_namespace_is_emptied_and_ends(cluster, core, apps, namespace):
    apps.create_namespaced_deployment(namespace, workload("Deployment", "web"))
    core.create_namespaced_pod(namespace, pod("loose"))
    core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    cluster.kubectl("create", "quota", "q", "--hard=pods=5", f"--namespace={namespace}")

    output = cluster.kubectl("delete", "namespace", namespace, f"--timeout={within(30):.0f}s")

    assert f'namespace "{namespace}" deleted' in output
    assert exists(core.read_namespace, namespace) is None
    core.create_namespace({"metadata": {"name": namespace}})
    assert apps.list_namespaced_deployment(namespace).items == []
    assert core.list_namespaced_pod(namespace).items == []


def test_what_holds_a_namespace_up_is_named_and_released(core, namespace):
    config_map = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    core.create_namespaced_config_map(namespace, config_map)

    core.delete_namespace(namespace)

    def reported():
        conditions = core.read_namespace(namespace).status.conditions or ()
        return next((item.message for item in conditions if item.type == "NamespaceContentRemaining"), None)

    assert "configmaps has 1 resource instances" in eventually(reported, 20)
    core.patch_namespaced_config_map("held", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: exists(core.read_namespace, namespace) is None, 20)


def test_custom_resources_go_with_their_namespace(cluster, custom, core, namespace):
    group, plural = f"{namespace}.example.com", "widgets"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "singular": "widget", "kind": "Widget"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    extensions = client.ApiextensionsV1Api(cluster.api())
    extensions.create_custom_resource_definition({"metadata": {"name": f"{plural}.{group}"}, "spec": spec})
    body = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}}
    path = f"/apis/{group}/v1/namespaces/{namespace}/{plural}"
    eventually(lambda: cluster.request("POST", path, body).status_code == 201)

    core.delete_namespace(namespace)

    eventually(lambda: exists(core.read_namespace, namespace) is None, 20)
    assert custom.list_cluster_custom_object(group, "v1", plural)["items"] == []
    extensions.delete_custom_resource_definition(f"{plural}.{group}")


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_a_namespace_of_the_system_stays(core, name):
    with refused(403, "Forbidden"):
        core.delete_namespace(name)


def test_every_namespace_gets_a_default_service_account_that_comes_back(core, namespace):
    first = eventually(lambda: exists(core.read_namespaced_service_account, "default", namespace))

    core.delete_namespaced_service_account("default", namespace)

    def another():
        result = exists(core.read_namespaced_service_account, "default", namespace)
        return result is not None and result.metadata.uid != first.metadata.uid

    eventually(another)


def test_every_namespace_gets_the_clusters_authority(cluster, core, namespace):
    result = eventually(lambda: exists(core.read_namespaced_config_map, "kube-root-ca.crt", namespace))

    assert result.data["ca.crt"] == (cluster.folder / "pki" / "ca.crt").read_text()


def test_the_kubernetes_service_leads_to_the_server(cluster, core):
    service = eventually(lambda: exists(core.read_namespaced_service, "kubernetes", "default"))

    (port,) = service.spec.ports
    assert (service.spec.cluster_ip, port.name, port.port) == ("172.20.0.1", "https", 443)
    assert cluster.url.endswith(f":{port.target_port}")


def test_objects_of_cluster_scope_survive_every_namespace(custom, core, namespace, eniconfigs):
    custom.create_cluster_custom_object(
        "crd.k8s.amazonaws.com", "v1alpha1", eniconfigs, eniconfig(namespace, subnet="subnet-1")
    )

    core.delete_namespace(namespace)

    eventually(lambda: exists(core.read_namespace, namespace) is None, 20)
    assert custom.get_cluster_custom_object("crd.k8s.amazonaws.com", "v1alpha1", eniconfigs, namespace)


def test_a_kubelet_keeps_a_lease_for_its_node_and_it_goes_with_the_node(cluster, core, node):
    coordination = client.CoordinationV1Api(cluster.api())
    api = KubeApi(cluster.kubeconfig)
    registered = api.get(f"/api/v1/nodes/{node}")

    leases.renew(api, registered)
    first = coordination.read_namespaced_lease(node, leases.NAMESPACE)
    leases.renew(api, registered)
    second = coordination.read_namespaced_lease(node, leases.NAMESPACE)

    assert (first.spec.holder_identity, first.spec.lease_duration_seconds) == (node, 40)
    assert first.metadata.owner_references[0].uid == registered["metadata"]["uid"]
    assert second.spec.renew_time > first.spec.renew_time
    leases.remove(api, node)
    assert exists(coordination.read_namespaced_lease, node, leases.NAMESPACE) is None
