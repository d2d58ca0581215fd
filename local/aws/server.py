"""One process: MiniStack's ASGI application with moto's EC2 behind its gateway, on one loopback socket."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from local.aws import environment

if TYPE_CHECKING:
    from pathlib import Path

    from local.aws.settings import Settings

# Enough for open long polls to be cut: nothing here needs a graceful end.
GRACE_SECONDS = 0.5


def listen(port: int) -> socket.socket:
    """A bound loopback socket. OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        # A second server could bind the same port beside a listening one only if it, too, never listened.
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then end every Lambda worker. ``environment.prepare`` must have run."""
    _log_to(settings.log)
    asyncio.run(_serve(settings, listener))


def _log_to(file: Path | None) -> None:
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        handlers=[logging.FileHandler(file) if file else logging.StreamHandler()],
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


async def _serve(settings: Settings, listener: socket.socket) -> None:
    # Imported here because the emulators read the environment when they are imported.
    with environment.models_read_once():
        from ministack.core import lambda_runtime  # noqa: PLC0415

        from local.aws.application import build  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = GRACE_SECONDS
    config.shutdown_timeout = GRACE_SECONDS
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    application = build(settings)
    sys.stdout.write(f"AWS is served at http://127.0.0.1:{settings.port} (region {settings.region})\n")
    sys.stdout.flush()
    try:
        await hypercorn_serve(application, config, shutdown_trigger=stop.wait)
    finally:
        await asyncio.to_thread(lambda_runtime.reset)
