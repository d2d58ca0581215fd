"""Access to MiniStack's private names that fails loudly when a version change removes one."""

from __future__ import annotations

from typing import Any


class MissingPartError(RuntimeError):
    """A private name which a correction needs is gone from the installed emulator."""


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
    """Check at the start what a correction will look up only when it is used. MissingPartError names what is gone."""
    for name in names:
        original(owner, name)
