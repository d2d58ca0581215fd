"""Start the local AWS from tests and tools, and talk to it with boto3."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.aws.settings import DEFAULT_REGION, ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, token_webhook_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEALTH = "/_ministack/health"
START_SECONDS = 60.0
STOP_SECONDS = 15.0


@dataclass
class LocalAws:
    """A running local AWS, as its root user unless other credentials are given."""

    port: int
    region: str = DEFAULT_REGION
    pid: int = 0
    credentials: dict[str, str] = field(
        default_factory=lambda: {
            "aws_access_key_id": ROOT_ACCESS_KEY_ID,
            "aws_secret_access_key": ROOT_SECRET_ACCESS_KEY,
        }
    )

    @property
    def endpoint(self) -> str:
        """Value of AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, **keywords: Any) -> Any:
        """A boto3 client which sends every call once, so that a test sees each error as it is."""
        config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False, max_pool_connections=40)
        options: dict[str, Any] = {
            "region_name": self.region,
            "endpoint_url": self.endpoint,
            "config": config,
            **self.credentials,
        }
        make: Any = boto3.client
        return make(service, **{**options, **keywords})

    def token_webhook(self, cluster: str) -> str:
        """URL of the webhook that authenticates Kubernetes tokens of ``cluster``."""
        return token_webhook_url(self.port, self.region, cluster)

    def control(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """Call a control endpoint ("/_local/faults", "/_local/calls"): (status, document)."""
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.endpoint + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def inject(self, service: str, action: str, **fault: Any) -> None:
        """Inject a fault; ValueError with the server's words when it is not understood."""
        status, answer = self.control("POST", "/_local/faults", {"service": service, "action": action, **fault})
        if status >= 400:
            raise ValueError(answer["error"])

    @contextlib.contextmanager
    def function(self, name: str, **condition: Any) -> Iterator[None]:
        """A condition of functions (see local/aws/functions/conditions.py) for a while; none holds afterwards.

        ValueError with the server's words when it is not understood.
        """
        status, answer = self.control("POST", "/_local/functions", {"function": name, **condition})
        if status >= 400:
            raise ValueError(answer["error"])
        try:
            yield
        finally:
            self.control("DELETE", "/_local/functions")

    @contextlib.contextmanager
    def settings(self, **values: Any) -> Iterator[None]:
        """Change settings (see local/aws/switches.py) for a while; all have their defaults afterwards.

        ValueError with the server's words when a name or value is not accepted.
        """
        status, answer = self.control("PUT", "/_local/settings", values)
        if status >= 400:
            raise ValueError(answer["error"])
        try:
            yield
        finally:
            self.control("DELETE", "/_local/settings")

    def calls(self, **wanted: str) -> list[dict[str, Any]]:
        """Recorded calls with the given service and action."""
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        recorded: list[dict[str, Any]] = self.control("GET", f"/_local/calls?{query}")[1]
        return recorded


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(state_dir: Path, ca_file: Path, *options: str, region: str = DEFAULT_REGION) -> Iterator[LocalAws]:
    """``python -m local.aws`` on a free port; RuntimeError with its log when it does not come up."""
    port, log = free_port(), state_dir / "aws.log"
    command = [sys.executable, "-m", "local.aws", "--port", str(port), "--state-dir", str(state_dir)]
    command += ["--ca-file", str(ca_file), "--region", region, "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ.copy()) as process:
        try:
            _wait_until_served(port, process)
            yield LocalAws(port, region, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_served(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            errors = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(f"the local AWS ended with status {process.returncode}: {errors}")
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health") as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the local AWS did not answer within {START_SECONDS:.0f} s")
