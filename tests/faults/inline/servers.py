"""The stack's servers within the process, and commands outside that talk to them while the stack is set up."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.aws.settings import Settings, token_webhook_url
from local.pki import ensure_pki
from local.slack import server, services
from local.stack.servers import BOT_TOKEN, Servers
from tests.faults.inline.network import Network
from tests.faults.inline.threads import Process, real_sleep, run_in, scheduler, sleep

# Waits cost nothing here, so the cluster is hardly hurried; what it does while others wait does cost something.
_SPEED, _ADDON_SECONDS = 4.0, 5.0
# Between two looks at a resource that the API server does not serve.
_UNSERVED_SECONDS = 10.0


@dataclass
class InlineServers(Servers):
    network: Network = field(default_factory=Network)
    # What answers in this process: for the tests that inject faults.
    control: Any = None
    slack: Any = None
    kubernetes: Any = None

    def start(self) -> None:
        self.network.install()
        pki = ensure_pki(self.folder / "pki", key_identifiers=self.key_identifiers)
        run_in_process(self.network.process, lambda: self._start_aws(pki.ca_cert))
        self._start_slack()

    def _start_aws(self, ca_file: Path) -> None:
        from local.aws import environment, partitions  # noqa: PLC0415 - the emulators read the environment

        settings = Settings(
            state_dir=self.folder / "aws",
            ca_file=ca_file,
            port=self.ports.aws,
            eks_endpoint_port=self.ports.kubernetes,
            region=self.region,
            wait_scale=self.wait_scale,
        )
        environment.prepare(settings)
        partitions.install(settings.region)
        from local.aws.application import build  # noqa: PLC0415
        from tests.faults.inline import answers, caches, functions, state  # noqa: PLC0415

        caches.install()
        functions.install()
        state.install()
        answers.install()

        async def made() -> Any:
            application = build(settings)
            await _started(application)
            return application

        self.control = self.network.call(made())
        self.network.applications[self.ports.aws] = self.control

    def _start_slack(self) -> None:
        settings = services.Settings(self.slack_url, self.signing_secret, BOT_TOKEN, None, self.slack_seconds)
        self.slack = services.Services.create(settings)
        self.network.applications[self.ports.slack] = server.create_app(self.slack)

    def start_kubernetes(self, cluster: str, assets: str | None = None) -> Any:
        from local.cluster import control_plane  # noqa: PLC0415
        from local.cluster.kube import KubeApi  # noqa: PLC0415
        from local.kubernetes import options as opts  # noqa: PLC0415
        from local.kubernetes.access.authentication import Authenticator  # noqa: PLC0415
        from local.kubernetes.app import Api  # noqa: PLC0415

        del assets
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')
        webhook = token_webhook_url(self.ports.aws, self.region, cluster)
        options = opts.parse(
            [
                *("--port", str(self.ports.kubernetes), "--pki", str(self.folder / "pki")),
                *("--token-file", str(tokens), "--kubeconfig", str(self.kubeconfig), "--token-webhook", webhook),
            ]
        )
        token = secrets.token_urlsafe(24)
        users = {**opts.read_token_file(options.token_file), token: opts.CONTROLLER_MANAGER}

        async def made() -> Any:
            return Api(Authenticator(users, options.token_webhook), options)

        api = self.kubernetes = self.network.call(made())
        self.network.applications[self.ports.kubernetes] = api.asgi
        process = Process("kubernetes", dict(scheduler.current.process.environment))
        kube = KubeApi(url=options.url, ca_cert=options.pki.ca_cert, token=token)
        run_in_process(process, lambda: control_plane.start(kube, options.pki.ca_cert))
        opts.write_kubeconfig(options)
        return Ending(process)

    def start_simulator(self, cluster: str, _speed: float, event_bus: str) -> Any:
        from local.cluster import informer  # noqa: PLC0415
        from local.cluster.pace import Pace  # noqa: PLC0415
        from local.cluster.simulator import Options, Simulator  # noqa: PLC0415

        informer._LAST_RETRY_SECONDS = _UNSERVED_SECONDS
        own = {name.encode(): value.encode() for name, value in self.environment.items()}
        process = Process("simulator", {**scheduler.current.process.environment, **own})
        bus = None if event_bus == "none" else event_bus
        options = Options(
            kubeconfig=self.kubeconfig,
            cluster=cluster,
            pace=Pace(_SPEED),
            event_bus=bus,
            addon_poll_seconds=_ADDON_SECONDS,
        )
        run_in(process, "simulator", lambda: Simulator(options).run(threading.Event()))
        return Ending(process)

    def stop(self) -> None:
        """It ends with the process."""

    def end(self, server: Any) -> None:
        server.process.alive = False


@dataclass
class Ending:
    process: Process


def run_in_process(process: Process, do: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def body() -> None:
        try:
            do()
        except BaseException as error:
            failed.append(error)

    run_in(process, process.name, body).join()
    if failed:
        raise failed[0]


async def _started(application: Any) -> None:
    """The lifespan's start, as a server sends it."""
    import asyncio  # noqa: PLC0415

    complete = asyncio.Event()
    never = asyncio.Event()
    given = False

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await never.wait()
        given = True
        return {"type": "lifespan.startup"}

    async def send(_message: Any) -> None:
        complete.set()

    task = asyncio.create_task(application({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    _KEPT.append(task)
    await complete.wait()


_KEPT: list[Any] = []


class Bridge:
    """Real sockets on the servers' ports: `sam` and `kubectl` talk to this process while it waits for them."""

    def __init__(self, servers: InlineServers) -> None:
        self._servers = servers
        self._listeners: dict[int, socket.socket] = {}
        self._subprocess_run = subprocess.run

    def install(self) -> None:
        subprocess.run = self._run  # type: ignore[assignment]

    def _run(self, command: Any, *, check: bool = False, **more: Any) -> Any:
        captured = more.pop("capture_output", False) or more.get("stdout") is not None
        more.pop("stdout", None), more.pop("stderr", None)
        log = self._servers.folder / "output.txt"
        with log.open("wb") as out:
            text = more.pop("text", False)
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **more)
            while process.poll() is None:
                self._serve_once()
        output: Any = log.read_text() if text else log.read_bytes()
        if check and process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, output, output)
        return subprocess.CompletedProcess(command, process.returncode, output if captured else None, output)

    def _serve_once(self) -> None:
        for port in self._servers.network.applications:
            if port not in self._listeners:
                self._listeners[port] = listener = socket.create_server(("127.0.0.1", port))
                listener.setblocking(False)
        served = False
        for port, listener in self._listeners.items():
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            served = True
            connection.setblocking(True)
            self._relay(port, connection)
        if not served:
            real_sleep(0.003)
            sleep(0.003)

    def _relay(self, port: int, connection: socket.socket) -> None:
        try:
            if port == self._servers.ports.kubernetes:
                pki = ensure_pki(self._servers.folder / "pki")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pki.server_cert, pki.server_key)
                connection = context.wrap_socket(connection, server_side=True)
            data = _whole(connection)
            if data:
                inside = self._servers.network.connect(("", port))
                inside.sendall(data)
                head, _, body = inside.makefile().read().partition(b"\r\n\r\n")
                connection.sendall(head + b"\r\nconnection: close\r\n\r\n" + body)
            connection.close()
        except OSError as error:
            logging.getLogger(__name__).info("relay: %s", error)


def _whole(connection: socket.socket) -> bytes:
    """A whole request; 100-continue is granted."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head = data.partition(b"\r\n\r\n")[0].lower()
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if lines.get(b"expect") == b"100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    size = len(head) + 4 + int(lines.get(b"content-length", b"0"))
    chunked = b"chunked" in lines.get(b"transfer-encoding", b"")
    while len(data) < size or (chunked and not data.endswith(b"0\r\n\r\n")):
        part = connection.recv(1 << 20)
        if not part:
            break
        data += part
    return data


def environment_of_tests() -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
