"""The servers of the stack and how to reach them."""

from __future__ import annotations

import secrets
import shutil
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import boto3
from botocore.config import Config

from local import own_folders
from local.aws.settings import (
    DEFAULT_REGION,
    ENDPOINT_PORT_TAG,
    ROOT_ACCESS_KEY_ID,
    ROOT_SECRET_ACCESS_KEY,
    token_webhook_url,
)
from local.pki import ensure_pki
from local.stack.ports import Ports
from local.stack.processes import Server, answers

BOT_TOKEN = "xoxb-local"  # noqa: S105 - of the local Slack workspace only


@dataclass
class Servers:
    """AWS, Slack, and one Kubernetes cluster at a time. `folder` holds everything they write.

    `key_identifiers`: whether the API server's certificates have them, which those of clusters from before Kubernetes
    1.17 do not. `region`: the local AWS has the ARNs of its partition. `slack_seconds`: what an app has to
    acknowledge a click; Slack gives three.
    """

    folder: Path
    ports: Ports
    wait_scale: float = 1.0
    key_identifiers: bool = True
    region: str = DEFAULT_REGION
    slack_seconds: float = 3.0
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    _running: list[Server] = field(default_factory=list)

    @property
    def aws_url(self) -> str:
        """The endpoint of all AWS APIs."""
        return f"http://localhost:{self.ports.aws}"

    @property
    def slack_url(self) -> str:
        """The base URL of the Slack workspace."""
        return f"http://127.0.0.1:{self.ports.slack}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the stack's AWS needs in its environment."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def session(self) -> boto3.session.Session:
        """A session with root's credentials."""
        return boto3.session.Session(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, region_name=self.region)

    def client(self, service: str) -> object:
        """A boto3 client of the stack's account root."""
        config = Config(retries={"total_max_attempts": 2}, inject_host_prefix=False)
        return self.session.client(service, endpoint_url=self.aws_url, config=config)  # type: ignore[call-overload]

    def start(self) -> None:
        """Raises NotStarted."""
        pki = ensure_pki(self.folder / "pki", key_identifiers=self.key_identifiers)
        aws = self._server(
            "local.aws",
            *("--port", str(self.ports.aws), "--eks-endpoint-port", str(self.ports.kubernetes)),
            *("--state-dir", str(self.folder / "aws"), "--ca-file", str(pki.ca_cert)),
            *("--wait-scale", str(self.wait_scale), "--region", self.region, "--code-dir", str(own_folders.CODE)),
        )
        slack = self._server(
            "local.slack",
            *("--port", str(self.ports.slack), "--signing-secret", self.signing_secret, "--bot-token", BOT_TOKEN),
            *("--answer-seconds", str(self.slack_seconds), "--state", str(self._new_state("slack"))),
        )
        aws.await_ready(lambda: answers(f"{self.aws_url}/_ministack/health"))
        slack.await_ready(lambda: answers(self.slack_url))

    def start_kubernetes(self, cluster: str, assets: str | None = None) -> Server:
        """The API server of one cluster; `assets`: the folder of a real kube-apiserver and etcd."""
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')
        self.kubeconfig.unlink(missing_ok=True)
        state = self._new_state("kubernetes")
        server = self._server(
            "local.kubernetes",
            *("--port", str(self.ports.kubernetes), "--pki", str(self.folder / "pki")),
            *(() if self.key_identifiers else ("--no-key-identifiers",)),
            *("--token-file", str(tokens), "--kubeconfig", str(self.kubeconfig), "--state", str(state)),
            *("--token-webhook", token_webhook_url(self.ports.aws, self.region, cluster)),
            env={"KUBEBUILDER_ASSETS": assets or ""},
        )
        server.await_ready(lambda: self.kubeconfig.exists() and self._kubernetes_ready())
        return server

    def beside(self, cluster: str) -> Servers:
        """The same AWS and Slack, with a place of its own for a further Kubernetes cluster: stop it before these.

        The EKS cluster needs `endpoint_tags`.
        """
        folder = self.folder / "beside" / cluster
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "pki").symlink_to(self.folder / "pki")
        ports = replace(self.ports, kubernetes=Ports.free().kubernetes)
        return replace(self, folder=folder, ports=ports, _running=[])

    @property
    def endpoint_tags(self) -> dict[str, str]:
        """The tags that tell the local EKS where the API server of a cluster is."""
        return {ENDPOINT_PORT_TAG: str(self.ports.kubernetes)}

    def start_simulator(self, cluster: str, speed: float, event_bus: str) -> Server:
        """Starts the simulated cluster as a process."""
        return self._server(
            "local.cluster",
            *("--kubeconfig", str(self.kubeconfig), "--cluster", cluster, "--speed", str(speed)),
            *("--event-bus", event_bus, "--log-dir", str(self.folder / "logs" / "nodes")),
            *("--state", str(self._new_state("cluster"))),
            env=self.environment,
        )

    def stop(self) -> None:
        """Ends every process, the last one started first."""
        while self._running:
            self._running.pop().stop()

    def end(self, server: Server) -> None:
        """Stops the process."""
        self._running.remove(server)
        server.stop()

    def running(self, module: str) -> Server:
        """The process of a module, such as `local.aws`; of several the latest."""
        return next(server for server in reversed(self._running) if server.module == module)

    def _new_state(self, name: str) -> Path:
        """The file of a server that starts with nothing, and goes on with what is in it after a kill."""
        folder = self.folder / "state" / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder / "state.sqlite"

    def _server(self, module: str, *arguments: str, env: dict[str, str] | None = None) -> Server:
        log = self.folder / "logs" / f"{module.rpartition('.')[2]}.log"
        server = Server(module, list(arguments), log, env)
        self._running.append(server)
        return server

    def _kubernetes_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.folder / "pki" / "ca.crt"))
        # Python 3.13 verifies strictly, which certificates without key identifiers do not pass.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        try:
            url = f"https://localhost:{self.ports.kubernetes}/readyz"
            with urllib.request.urlopen(url, timeout=2, context=context):
                return True
        except urllib.error.HTTPError as error:
            return error.code in (401, 403)
        except OSError:
            return False
