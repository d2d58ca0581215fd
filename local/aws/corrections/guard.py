"""Access to private names of the emulators. It fails at start-up when a new version has removed one."""

from __future__ import annotations

from typing import Any


class MissingPartError(RuntimeError):
    """The installed emulator no longer has a private name that a correction needs."""


def original(owner: Any, name: str) -> Any:
    """``owner.name`` (or ``owner[name]`` for a plain dictionary). MissingPartError, naming it, when it is not there."""
    try:
        return owner[name] if type(owner) is dict else getattr(owner, name)
    except (AttributeError, KeyError):
        where = getattr(owner, "__name__", type(owner).__name__)
        raise MissingPartError(
            f"{where}.{name} is gone from the installed emulator: a correction in local/aws depends on it. "
            "Pin the ministack and moto versions of pyproject.toml, or adapt the correction."
        ) from None


def replace(owner: Any, name: str, value: Any) -> None:
    """Put ``value`` in the place of ``owner.name``, which must exist."""
    original(owner, name)
    if type(owner) is dict:
        owner[name] = value
    else:
        setattr(owner, name, value)


def require(owner: Any, *names: str) -> None:
    """Check at start-up the names that a correction looks up later. MissingPartError names the missing one."""
    for name in names:
        original(owner, name)
