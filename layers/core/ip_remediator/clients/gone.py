"""Writes to what others may have deleted since it was looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ip_remediator.common.errors import NotFound, NotYet, PermissionDenied, RequestRefused


@dataclass
class Target:
    """What a write is about. `gone`: somebody deleted it before the write, which was therefore not made."""

    gone: bool = False


@contextmanager
def unless_gone(exists: Callable[[], bool]) -> Iterator[Target]:
    """Lets the writes inside the block fail if what they are about is gone: then nothing is left to write to.

    Any refusal may mean that, so `exists` looks again. Kubernetes answers 404. EC2 answers NotFound, or
    UnauthorizedOperation where the role's conditions ask for tags: what is gone has none. Auto Scaling answers
    ValidationError, because its API has no error for what does not exist (botocore's model of UpdateAutoScalingGroup).

    Raises:
        NotYet: it is listed, and the write does not find it: EC2's Describe calls are eventually consistent.
        PermissionDenied, RequestRefused: it is there, and the write is refused.
    """
    target = Target()
    try:
        yield target
    except (NotFound, PermissionDenied, RequestRefused) as error:
        if not exists():
            target.gone = True
        elif isinstance(error, NotFound):
            raise NotYet(f"listed, but not there for a write: {error}") from error
        else:
            raise
