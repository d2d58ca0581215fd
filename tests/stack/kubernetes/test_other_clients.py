"""Python clients other than the official one, each with a smoke test: create, list, watch, patch, delete."""

from __future__ import annotations

import asyncio
import threading

import kr8s
import kubernetes_asyncio
import pykube
import pytest
from kr8s.objects import ConfigMap
from kubernetes import client, dynamic
from lightkube import Client, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment as LightkubeDeployment
from lightkube.resources.core_v1 import ConfigMap as LightkubeConfigMap
from lightkube.types import PatchType

from tests.stack.kubernetes.support import eventually, workload
from tests.support.patience import within


def after(seconds, act, *arguments):
    """Do something while the test waits for it to be seen."""
    timer = threading.Timer(seconds, act, arguments)
    timer.start()
    return timer


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"by": "test"}}, "data": data}


def test_kr8s(cluster, core, namespace):
    api = kr8s.api(kubeconfig=str(cluster.kubeconfig), namespace=namespace)
    made = ConfigMap(config_map("a", x="1"), api=api, namespace=namespace)

    made.create()
    made.patch({"data": {"x": "2"}})
    made.label({"color": "red"})
    listed = list(api.get("configmaps", namespace=namespace, label_selector="color=red"))

    assert [item.raw["data"] for item in listed] == [{"x": "2"}]
    adding = after(0.3, core.create_namespaced_config_map, namespace, config_map("b"))
    events = []
    for kind, item in api.watch("configmaps", namespace=namespace, label_selector="by=test"):
        events.append((kind, item.name))
        if item.name == "b":
            break
    adding.join()
    assert events[-1] == ("ADDED", "b")
    made.delete()
    eventually(lambda: not made.exists())


def test_lightkube(cluster, core, namespace):
    api = Client(KubeConfig.from_file(str(cluster.kubeconfig)), namespace=namespace, field_manager="smoke")
    labels = {"by": "test"}

    api.create(LightkubeConfigMap(metadata=ObjectMeta(name="a", labels=labels), data={"x": "1"}))
    patched = api.patch(LightkubeConfigMap, "a", {"data": {"y": "2"}}, patch_type=PatchType.MERGE)
    applied = api.apply(
        LightkubeConfigMap(metadata=ObjectMeta(name="b", namespace=namespace, labels=labels), data={"z": "3"})
    )
    api.create(LightkubeDeployment.from_dict(workload("Deployment", "web")))

    assert patched.data == {"x": "1", "y": "2"}
    assert applied.data == {"z": "3"}
    assert {item.metadata.name for item in api.list(LightkubeConfigMap, labels=labels)} == {"a", "b"}
    watch = api.watch(LightkubeConfigMap, labels=labels)
    assert {(kind, item.metadata.name) for kind, item in (next(watch), next(watch))} == {("ADDED", "a"), ("ADDED", "b")}
    api.delete(LightkubeConfigMap, "a")
    assert {item.metadata.name for item in api.list(LightkubeConfigMap, labels=labels)} == {"b"}


def test_pykube_ng(cluster, core, namespace):
    api = pykube.HTTPClient(pykube.KubeConfig.from_file(str(cluster.kubeconfig)))
    made = pykube.ConfigMap(api, {**config_map("a", x="1"), "metadata": {"name": "a", "namespace": namespace}})

    made.create()
    made.obj["data"]["x"] = "2"
    made.update()
    query = pykube.ConfigMap.objects(api).filter(namespace=namespace, field_selector={"metadata.name": "a"})

    assert [item.obj["data"] for item in query] == [{"x": "2"}]
    event = next(iter(query.watch()))
    assert (event.type, event.object.name) == ("ADDED", "a")
    made.delete()
    assert not made.exists()


def test_kubernetes_asyncio_watches_with_its_own_spelling_of_true(cluster, core, namespace):
    async def scenario():
        configuration = kubernetes_asyncio.client.Configuration()
        await kubernetes_asyncio.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
        async with kubernetes_asyncio.client.ApiClient(configuration) as api:
            v1 = kubernetes_asyncio.client.CoreV1Api(api)
            await v1.create_namespaced_config_map(namespace, config_map("a", x="1"))
            await v1.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}})
            events = []
            async with kubernetes_asyncio.watch.Watch() as watch:
                stream = watch.stream(
                    v1.list_namespaced_config_map, namespace, label_selector="by=test", timeout_seconds=5
                )
                async for event in stream:
                    events.append((event["type"], event["object"].data))
                    if event["type"] == "DELETED":
                        break
                    await v1.delete_namespaced_config_map("a", namespace)
            return events

    assert asyncio.run(scenario()) == [("ADDED", {"x": "2"}), ("DELETED", {"x": "2"})]


@pytest.mark.parametrize("resource", ["builtin", "custom"])
def test_the_dynamic_client(cluster, namespace, eniconfigs, resource):
    api = dynamic.DynamicClient(cluster.api())
    if resource == "builtin":
        kind = api.resources.get(api_version="v1", kind="ConfigMap")
        body, where = config_map(namespace, x="1"), {"namespace": namespace}
        change = {"data": {"x": "2"}}
    else:
        kind = api.resources.get(api_version="crd.k8s.amazonaws.com/v1alpha1", kind="ENIConfig")
        body = {"apiVersion": "crd.k8s.amazonaws.com/v1alpha1", "kind": "ENIConfig", "metadata": {"name": namespace}}
        body["spec"], where = {"subnet": "subnet-1"}, {}
        change = {"spec": {"subnet": "subnet-2"}}

    kind.create(body=body, **where)
    patched = kind.patch(name=namespace, body=change, content_type="application/merge-patch+json", **where)
    selector = f"metadata.name={namespace}"
    event = next(iter(kind.watch(field_selector=selector, timeout=int(within(5)), **where)))

    [(part, value)] = change.items()
    assert patched.to_dict()[part] == value
    assert (event["type"], event["object"].metadata.name) == ("ADDED", namespace)
    kind.delete(name=namespace, **where)
    with pytest.raises(client.ApiException) as caught:
        kind.get(name=namespace, **where)
    assert caught.value.status == 404
