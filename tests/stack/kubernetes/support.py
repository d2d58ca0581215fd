"""What the contract tests share: a running server, its clients, a token webhook, and objects to send."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.support import waiting
from tests.support.patience import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
ADMIN, READER, OUTSIDER = "admin-token", "reader-token", "outsider-token"
WEBHOOK_TOKEN = "k8s-aws-v1.good"
WEBHOOK_USER = {
    "username": "arn:aws:sts::1:assumed-role/r/s",
    "uid": "u1",
    "groups": ["remediators"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `check` returns once it is true."""
    return waiting.eventually("it is true", check, seconds=seconds)


@contextlib.contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=env, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(within(20))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(kind: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "KUBEBUILDER_ASSETS"}
    return {**env, "KUBEBUILDER_ASSETS": str(ASSETS)} if kind == "real" else env


@dataclass
class Cluster:
    """One running API server and ways to talk to it."""

    kind: str
    url: str
    folder: Path
    webhook: Webhook

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def api(self, token: str = ADMIN) -> client.ApiClient:
        configuration = client.Configuration()
        configuration.host = self.url
        configuration.ssl_ca_cert = str(self.folder / "pki" / "ca.crt")
        configuration.api_key = {"authorization": f"Bearer {token}"}
        return client.ApiClient(configuration)

    def request(self, method: str, path: str, body: Any = None, token: str = ADMIN, **headers: str) -> Any:
        """A bare HTTP request, for what no client sends."""
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        sent = {"Content-Type": headers.pop("content_type", "application/json"), **headers}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        verify = str(self.folder / "pki" / "ca.crt")
        return requests.request(method, self.url + path, data=data, headers=sent, verify=verify, timeout=within(30))

    def send_bytes(self, method: str, path: str, body: bytes, content_type: str) -> Any:
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {ADMIN}"}
        verify = str(self.folder / "pki" / "ca.crt")
        return requests.request(method, self.url + path, data=body, headers=headers, verify=verify, timeout=within(30))

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder / 'cache'}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=within(60), check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    @property
    def policy(self) -> str:
        """The policy version it speaks: servers before 1.21 know v1beta1 only."""
        versions = client.ApisApi(self.api()).get_api_versions().groups
        return next(group.preferred_version.version for group in versions if group.name == "policy")


class Webhook:
    """Answers authentication.k8s.io/v1 TokenReviews as EKS's authenticator does."""

    def __init__(self) -> None:
        self.reviews: list[dict[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.reviews.append(review)
                good = review["spec"]["token"] == WEBHOOK_TOKEN
                status = {"authenticated": True, "user": WEBHOOK_USER} if good else {"authenticated": False}
                body = json.dumps({**review, "status": status}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/authenticate"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


GROUP, VERSION = "crd.k8s.amazonaws.com", "v1alpha1"
ENICONFIG_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"eniconfigs.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Cluster",
        "names": {"plural": "eniconfigs", "singular": "eniconfig", "kind": "ENIConfig"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [{"name": "Subnet", "type": "string", "jsonPath": ".spec.subnet"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["subnet"],
                                "properties": {
                                    "subnet": {"type": "string"},
                                    "securityGroups": {"type": "array", "items": {"type": "string"}},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


def eniconfig(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ENIConfig",
        "metadata": {"name": name},
        "spec": spec,
    }


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "nginx:1.27"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": containers, **spec},
    }


def workload(kind: str, name: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {
        "name": "aws-node",
        "image": "amazon-k8s-cni:v1.23.1",
        "env": [{"name": "WARM_ENI_TARGET", "value": "1"}],
        "ports": [{"containerPort": 61678}],
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


@contextlib.contextmanager
def refused(code: int, reason: str) -> Iterator[dict[str, Any]]:
    """The Status object of a request that must fail with `code` and `reason`."""
    status: dict[str, Any] = {}
    with pytest.raises(ApiException) as caught:
        yield status
    status.update(json.loads(caught.value.body))
    assert (caught.value.status, status["code"], status.get("reason", "")) == (code, code, reason), status
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
