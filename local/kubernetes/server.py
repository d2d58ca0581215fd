"""The embedded server as a process: TLS, signals, kubeconfig."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from typing import TYPE_CHECKING, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from local.cluster import control_plane
from local.cluster.kube import KubeApi
from local.kubernetes import options as opts
from local.kubernetes.access.authentication import Authenticator
from local.kubernetes.app import Api

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from local.kubernetes.options import Options

# Clients pool connections. The server must not close one just as a request arrives.
KEEP_ALIVE_SECONDS = 600
SHUTDOWN_SECONDS = 0.5


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    opts.require_free_port(options.port)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(options))


async def _serve(options: Options) -> None:
    token = secrets.token_urlsafe(24)
    users = {**opts.read_token_file(options.token_file), token: opts.CONTROLLER_MANAGER}
    api = Api(Authenticator(users, options.token_webhook), options)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    shutdown = asyncio.create_task(stopping.wait())
    server = asyncio.create_task(
        serve(cast("ASGIFramework", api.asgi), _config(options), shutdown_trigger=stopping.wait)
    )
    if await _accepts(options.port, server):
        control_plane.start(KubeApi(url=options.url, ca_cert=options.pki.ca_cert, token=token), options.pki.ca_cert)
        opts.write_kubeconfig(options)
        print(f"embedded Kubernetes API serves on {options.url}", file=sys.stderr, flush=True)  # noqa: T201
    await asyncio.wait({server, shutdown}, return_when=asyncio.FIRST_COMPLETED)
    api.close()
    await asyncio.wait({server}, timeout=SHUTDOWN_SECONDS)
    # A client that still talks while its connection is closed (an SSLError) is no failure of a server told to end.
    if server.done() and not stopping.is_set():
        return server.result()
    # Closing TLS waits half a minute for idle clients, and so would the end of the event loop. Nothing needs saving,
    # so exit at once.
    sys.stderr.flush()
    os._exit(0)


async def _accepts(port: int, server: asyncio.Task[None]) -> bool:
    """Wait until the server listens; False when it ended instead."""
    while not server.done():
        try:
            _, writer = await asyncio.open_connection(opts.LOOPBACK, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return True
    return False


def _config(options: Options) -> Config:
    config = Config()
    config.bind = [f"{opts.LOOPBACK}:{options.port}"]
    config.certfile = str(options.pki.server_cert)
    config.keyfile = str(options.pki.server_key)
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.graceful_timeout = SHUTDOWN_SECONDS
    config.shutdown_timeout = SHUTDOWN_SECONDS
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
