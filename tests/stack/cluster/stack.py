"""A Kubernetes API, a local AWS and the simulator as processes of their own, and how tests look at them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from kubernetes import client, config

from local.aws.settings import token_webhook_url
from local.cluster.kube import KubeApi
from tests.support.patience import within
from tests.support.waiting import eventually

REGION = "ap-northeast-2"
SPEED = "20"
START_SECONDS = 40.0
NEW_RANGE = "100.64."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """Started processes by name; `env` is what a client of the stack needs."""

    folder: Path
    kubernetes_port: int = field(default_factory=free_port)
    aws_port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.aws_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def start(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"local.{name}", *arguments],
                stdout=log,
                stderr=log,
                env=os.environ | (env or {}),
            )

    def start_servers(self, assets: str) -> None:
        """The Kubernetes API (the real one when `assets` names a folder with it) and the AWS API."""
        pki = self.folder / "pki"
        self.start(
            "kubernetes",
            *("--port", str(self.kubernetes_port), "--pki", str(pki)),
            *("--token-file", str(self.folder / "tokens.csv"), "--kubeconfig", str(self.kubeconfig)),
            *("--token-webhook", token_webhook_url(self.aws_port, REGION, "demo")),
            env={"KUBEBUILDER_ASSETS": assets},
        )
        eventually(
            "the Kubernetes API serves", lambda: self._alive() and self.kubeconfig.is_file(), seconds=START_SECONDS
        )
        self.start(
            "aws",
            *("--port", str(self.aws_port), "--eks-endpoint-port", str(self.kubernetes_port)),
            *("--state-dir", str(self.folder / "aws"), "--ca-file", str(pki / "ca.crt")),
        )
        eventually("the AWS API serves", lambda: self._alive() and self._aws_answers(), seconds=START_SECONDS)

    def start_simulator(self, *arguments: str) -> None:
        self.start(
            "cluster",
            *("--kubeconfig", str(self.kubeconfig), "--cluster", "demo", "--speed", SPEED),
            *("--addon-poll-seconds", "0.2", "--log-dir", str(self.folder / "logs")),
            *("--state", str(self.folder / "simulator.sqlite"), *arguments),
            env=self.env,
        )

    def end(self, name: str) -> int:
        """SIGTERM and the exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=within(15))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self, name: str) -> None:
        """`kill -9`."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end_all(self) -> None:
        """Latest first, each whatever became of the others."""
        with contextlib.ExitStack() as endings:
            for name in self.processes:
                endings.callback(self.end, name)

    def api(self) -> KubeApi:
        return KubeApi(self.kubeconfig)

    def session(self) -> boto3.session.Session:
        return boto3.session.Session("test", "test", region_name=REGION)

    def aws(self, service: str) -> Any:
        return self.session().client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"])  # type: ignore[call-overload]

    def kube(self) -> client.ApiClient:
        api: client.ApiClient = config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call]
        return api

    def ipamd_log(self) -> list[dict[str, Any]]:
        files = (self.folder / "logs").glob("*/ipamd.log")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def fault(self, **fields: Any) -> None:
        """Make the AWS API fail, see `local.aws`."""
        request = urllib.request.Request(
            f"{self.env['AWS_ENDPOINT_URL']}/_local/faults",
            json.dumps(fields).encode(),
            {"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=within(10)).close()

    def _alive(self) -> bool:
        for name, process in self.processes.items():
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()[-2000:]
        return True

    def _aws_answers(self) -> bool:
        try:
            self.aws("sts").get_caller_identity()
        except Exception:
            return False
        return True


def nginx(stack: Stack) -> list[Any]:
    with stack.kube() as api:
        return list(client.CoreV1Api(api).list_namespaced_pod("default", label_selector="app=nginx").items)


def addresses(stack: Stack) -> dict[str, str]:
    """Address by pod name of the running nginx pods."""
    return {pod.metadata.name: pod.status.pod_ip for pod in nginx(stack) if pod.status.phase == "Running"}
