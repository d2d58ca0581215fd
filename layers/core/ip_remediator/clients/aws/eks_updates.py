"""Updates of EKS, of a cluster or of an add-on: they take minutes, and one invocation waits for a part of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ip_remediator.common.errors import NotYet

SUCCESSFUL = "Successful"
# How long one invocation waits, in seconds; the state machine's Retry waits longer.
_PATIENCE = 25.0
_POLL = 0.5

T = TypeVar("T")


def settled(
    read: Callable[[], T], is_settled: Callable[[T], bool], late: Callable[[T], str], sleep: Callable[[float], None]
) -> T:
    """What `read` says once that is settled. Raises NotYet after 25 s, with what `late` says of it."""
    deadline = time.monotonic() + _PATIENCE
    while not is_settled(present := read()):
        if time.monotonic() > deadline:
            raise NotYet(late(present))
        sleep(_POLL)
    return present


def has_ended(update: Mapping[str, Any]) -> bool:
    """Whether an update of DescribeUpdate is over, well or not."""
    return bool(update["status"] != "InProgress")


def reasons(update: Mapping[str, Any]) -> str:
    """Why a described update failed, in EKS's words; "" where it gives no reason."""
    return "; ".join(f"{error.get('errorCode')}: {error.get('errorMessage')}" for error in update.get("errors") or ())
