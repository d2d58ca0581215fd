"""Which loopback ports the stack uses."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
DEFAULTS = {"AWS_PORT": 4566, "KUBERNETES_PORT": 6443, "SLACK_PORT": 4580}


class PortTaken(Exception):
    """A port is in use, or not a port; the message says how to choose another."""


@dataclass(frozen=True)
class Ports:
    """The ports of the three servers."""

    aws: int
    kubernetes: int
    slack: int

    @classmethod
    def free(cls) -> Ports:
        """Three ports that nobody uses."""
        sockets = [socket.create_server((LOOPBACK, 0)) for _ in DEFAULTS]
        ports = [int(listening.getsockname()[1]) for listening in sockets]
        for listening in sockets:
            listening.close()
        return cls(*ports)

    @classmethod
    def chosen(cls) -> Ports:
        """From AWS_PORT, KUBERNETES_PORT and SLACK_PORT, else the defaults; 0 takes any free port.

        Raises:
            PortTaken
        """
        any_free = cls.free()
        spare = dict(zip(DEFAULTS, (any_free.aws, any_free.kubernetes, any_free.slack), strict=True))
        return cls(*(_usable(name, default) or spare[name] for name, default in DEFAULTS.items()))

    @classmethod
    def preferred(cls) -> Ports:
        """As `chosen`, but a default that is taken gives way to a free port; only what was asked for is an error.

        Raises:
            PortTaken
        """
        try:
            return cls.chosen()
        except PortTaken:
            if any(name in os.environ for name in DEFAULTS):
                raise
            return cls.free()


def _usable(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdigit() or int(text) > 65535:
        raise PortTaken(f"{variable}={text!r} is not a port: give a number from 1 to 65535, or 0 for any free one")
    port = int(text)
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PortTaken(
            f"port {port} on {LOOPBACK} cannot be used ({error.strerror}): end what uses it, or choose another with "
            f"{variable}=<port>, or {variable}=0 for any free one"
        ) from error
    return port
