"""Optional reads of a capture: a refused read is reported in words, and the capture continues."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ip_remediator.common.errors import NotFound, PermissionDenied, RequestRefused, Transient

ResultT = TypeVar("ResultT")
_LENGTH = 300
# EC2 appends a ciphertext of a kilobyte that differs from call to call.
_CIPHERTEXT = " Encoded authorization failure message"


class ReadFailures:
    """What could not be read, in words for people. Threads may share one."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @property
    def lines(self) -> tuple[str, ...]:
        """In an order that does not depend on which thread was faster."""
        return tuple(sorted(set(self._lines)))

    def note(self, subject: str, reason: object) -> None:
        """Records a refused read, without AWS's encoded authorization message."""
        self._lines.append(f"{subject}: {str(reason).partition(_CIPHERTEXT)[0][:_LENGTH]}")

    def attempt(self, subject: str, read: Callable[[], ResultT], otherwise: ResultT) -> ResultT:
        """`read()`, or `otherwise` and a line when AWS or Kubernetes refuses it or does not answer."""
        try:
            return read()
        except (PermissionDenied, NotFound, RequestRefused, Transient) as error:
            self.note(subject, error)
            return otherwise
