"""The calls by which others changed what an incident works on in AWS, as CloudTrail recorded them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ip_remediator.common.document import Document


class CallByOther(Document):
    """One call. `event`: its name, such as DeleteSubnet; `resource`: what it changed."""

    id: str = Field(description="CloudTrail's id of the event")
    event: str
    resource: str
    caller: str = Field(description="the caller's ARN; an AWS service's name where the service acted by itself")
    at: datetime

    def __str__(self) -> str:
        """For people: DeleteSubnet of subnet-0a1b, 14:03 UTC, as CloudTrail recorded it."""
        return f"{self.event} of {self.resource}, {self.at:%Y-%m-%d %H:%M} UTC, as CloudTrail recorded it"


class CallsByOthers(Document):
    """The calls that are known, the newest first."""

    calls: tuple[CallByOther, ...] = ()

    def not_in(self, earlier: CallsByOthers | None) -> list[CallByOther]:
        """The calls that `earlier` did not have, the oldest first."""
        ids = {call.id for call in earlier.calls} if earlier else set()
        return [call for call in reversed(self.calls) if call.id not in ids]
