"""What the control plane puts into every namespace: the service account `default` and the cluster's authority."""

from __future__ import annotations

from pathlib import Path

from local.cluster.informer import Informer
from local.cluster.kube import CONFIG_MAPS, SERVICE_ACCOUNTS, ApiError, KubeApi, Resource
from local.cluster.objects import Obj, is_deleting
from local.cluster.workqueue import Worker

DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"


class ServiceAccountController:
    """Creates both in new namespaces, and the account again when somebody deletes it."""

    def __init__(self, api: KubeApi, namespaces: Informer, accounts: Informer, ca_cert: Path) -> None:
        self._api = api
        self._namespaces = namespaces
        self._authority = ca_cert.read_text()
        self.worker = Worker("service-accounts", self._reconcile)
        namespaces.on_change(lambda _old, new: self.worker.queue.add(new["metadata"]["name"]) if new else None)
        accounts.on_change(self._account_changed)

    def _account_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is None and old["metadata"]["name"] == DEFAULT_ACCOUNT:
            self.worker.queue.add(old["metadata"]["namespace"])

    def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or is_deleting(namespace):
            return
        self._ensure(SERVICE_ACCOUNTS, "ServiceAccount", name, DEFAULT_ACCOUNT, {})
        self._ensure(CONFIG_MAPS, "ConfigMap", name, ROOT_CA, {"data": {"ca.crt": self._authority}})

    def _ensure(self, resource: Resource, kind: str, namespace: str, name: str, more: Obj) -> None:
        metadata = {"name": name, "namespace": namespace}
        try:
            self._api.create(resource, {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more})
        except ApiError as error:
            # 409: it is there. 403 and 404: the namespace is going or gone.
            if error.status not in (403, 404, 409):
                raise
