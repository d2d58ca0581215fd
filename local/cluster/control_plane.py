"""The control plane's controllers that need no nodes. They run beside the embedded and the real API server."""

from __future__ import annotations

import threading
from pathlib import Path

from local.cluster.controllers.namespaces import NamespaceController
from local.cluster.controllers.service_accounts import ServiceAccountController
from local.cluster.informer import Informer
from local.cluster.kube import NAMESPACES, SERVICE_ACCOUNTS, KubeApi


def start(api: KubeApi, ca_cert: Path) -> threading.Event:
    """Start the controllers in threads that end with the process, or once the event that is returned is set."""
    stop = threading.Event()
    namespaces, accounts = Informer(api, NAMESPACES), Informer(api, SERVICE_ACCOUNTS)
    controllers = (NamespaceController(api, namespaces), ServiceAccountController(api, namespaces, accounts, ca_cert))
    for informer in (namespaces, accounts):
        informer.start(stop)
    for controller in controllers:
        controller.worker.start()
    return stop
