"""The real kube-apiserver and etcd behind the command line of the embedded server."""

from __future__ import annotations

import ctypes
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local.cluster import control_plane
from local.cluster.kube import KubeApi
from local.kubernetes import options as opts

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from local.kubernetes.options import Options

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1


class ServerDied(opts.UsageError):
    """etcd or kube-apiserver exited; the message ends with its last log lines."""


def run(options: Options, assets: Path) -> None:
    """Serve the binaries in `assets` until SIGTERM or SIGINT; both processes and their data are gone afterwards."""
    opts.require_free_port(options.port)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="envtest-") as folder:
        children: list[_Child] = []
        try:
            _serve(options, assets, Path(folder), children, stopping)
        finally:
            for child in reversed(children):
                child.stop()


def _serve(options: Options, assets: Path, folder: Path, children: list[_Child], stopping: threading.Event) -> None:
    etcd_url = f"http://{opts.LOOPBACK}:{opts.free_port()}"
    children.append(_Child("etcd", _etcd_command(assets, folder, etcd_url), folder))
    _await(children, stopping, partial(_answers, f"{etcd_url}/health"))
    token = opts.extend_token_file(options.token_file, folder / "tokens.csv")
    children.append(_Child("kube-apiserver", _apiserver_command(options, assets, folder, etcd_url), folder))
    trust = ssl.create_default_context(cafile=str(options.pki.ca_cert))
    # Ready is not enough: the default namespace is made a moment later.
    for path in ("/readyz", "/api/v1/namespaces/default"):
        _await(children, stopping, partial(_answers, options.url + path, trust, token))
    if not stopping.is_set():
        control_plane.start(KubeApi(url=options.url, ca_cert=options.pki.ca_cert, token=token), options.pki.ca_cert)
        opts.write_kubeconfig(options)
        print(f"kube-apiserver serves on {options.url}", file=sys.stderr, flush=True)  # noqa: T201 - a command line
    while not stopping.wait(POLL_SECONDS * 5):
        for child in children:
            child.require_alive()


def _etcd_command(assets: Path, folder: Path, url: str) -> list[str]:
    return [
        str(assets / "etcd"),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls=http://{opts.LOOPBACK}:0",
    ]


def _apiserver_command(options: Options, assets: Path, folder: Path, etcd_url: str) -> list[str]:
    pki = options.pki
    command = [
        str(assets / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={opts.LOOPBACK}",
        f"--advertise-address={opts.LOOPBACK}",
        f"--secure-port={options.port}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={pki.server_cert}",
        f"--tls-private-key-file={pki.server_key}",
        f"--client-ca-file={pki.ca_cert}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        "--service-cluster-ip-range=172.20.0.0/16",
        "--authorization-mode=RBAC",
        # The plugin wants token Secrets for every service account (Kubernetes 1.20), which no controller makes here.
        "--disable-admission-plugins=ServiceAccount",
    ]
    if options.token_webhook:
        config = folder / "webhook.yaml"
        opts.write_webhook_config(options.token_webhook, config)
        command += [
            f"--authentication-token-webhook-config-file={config}",
            "--authentication-token-webhook-version=v1",
            f"--authentication-token-webhook-cache-ttl={opts.WEBHOOK_CACHE_SECONDS}s",
        ]
    return command


class _Child:
    """A child process that never outlives this one."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_before_exec(),  # noqa: PLW1509 - unsafe with threads only, and there are none
            )

    def require_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise ServerDied(f"{self.name} ended with status {code}:\n{tail}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _before_exec() -> Callable[[], None]:
    """What a child does between fork and exec: leave the terminal's group, and on Linux die with its parent."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        os.setpgid(0, 0)  # Ctrl-C reaches this process alone, which then ends its children in order
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _await(children: list[_Child], stopping: threading.Event, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not stopping.is_set() and not ready():
        for child in children:
            child.require_alive()
        if time.monotonic() > deadline:
            raise ServerDied(f"{children[-1].name} was not ready after {READY_SECONDS:.0f} s")
        stopping.wait(POLL_SECONDS)


def _answers(url: str, trust: ssl.SSLContext | None = None, token: str = "") -> bool:
    # Loopback: a proxy from the environment must not be used.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with direct.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
