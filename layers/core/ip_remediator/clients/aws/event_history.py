"""CloudTrail's event history: who made a call, some minutes after it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.clock import utc_now

# "The rate of lookup requests is limited to two per second, per account, per Region" (API_LookupEvents.html): half of
# it is left to others.
_PACE = 1.0
# 50 events each, the newest first.
_MOST_PAGES = 2
# Events are kept for 90 days; a start before that is outside the range (InvalidTimeRangeException). Clocks differ.
_KEPT = timedelta(days=90) - timedelta(minutes=5)


@dataclass(frozen=True)
class RecordedCall:
    """A call that succeeded. `role`: the ARN of the role that the caller had assumed, "" for other callers.

    `asked` are all values of the request, `answered` those and the answer's: where CloudTrail puts a value differs from
    service to service. `node_group`: the name of the one that EKS was asked to change, "" for other calls.
    """

    id: str
    event: str
    at: datetime
    caller: str
    role: str
    asked: frozenset[str]
    answered: frozenset[str]
    node_group: str = ""

    def overlaps(self, block: str) -> bool:
        """Whether a CIDR of the request or the answer overlaps `block`."""
        network = IPv4Network(block)
        return any(cidr.overlaps(network) for cidr in _cidrs(self.answered))

    @property
    def cidrs(self) -> tuple[str, ...]:
        """The CIDRs of the request and the answer."""
        return tuple(sorted({str(cidr) for cidr in _cidrs(self.answered)}))


class EventHistory:
    """`cloudtrail`: boto3's client; `sleep` is time.sleep unless a test says otherwise."""

    def __init__(self, cloudtrail: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        self._cloudtrail = cloudtrail
        self._sleep = sleep

    def calls(self, event: str, since: datetime) -> Iterator[RecordedCall]:
        """The calls of this name since then that succeeded, the newest first; of very many, the newest hundred.

        They are looked up by their name: it is documented for no event of EKS that its resources can be looked up.

        Raises:
            PermissionDenied, Throttled, ServiceUnavailable
        """
        wanted = [{"AttributeKey": "EventName", "AttributeValue": event}]
        asked: dict[str, Any] = {"LookupAttributes": wanted, "StartTime": max(since, utc_now() - _KEPT)}
        for _ in range(_MOST_PAGES):
            with aws_call("LookupEvents"):
                page = self._cloudtrail.lookup_events(**asked)
            self._sleep(_PACE)
            for listed in page.get("Events", []):
                record = json.loads(listed.get("CloudTrailEvent") or "{}")
                if "errorCode" not in record:
                    yield _recorded(listed, record)
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]


def _recorded(listed: dict[str, Any], record: dict[str, Any]) -> RecordedCall:
    """Source of the fields: "CloudTrail userIdentity element" of the CloudTrail User Guide."""
    identity = record.get("userIdentity") or {}
    session = identity.get("sessionContext") or {}
    caller = identity.get("arn") or identity.get("invokedBy") or listed.get("Username") or "somebody"
    asked = frozenset(_values(record.get("requestParameters")))
    return RecordedCall(
        id=str(listed.get("EventId", "")),
        event=str(listed.get("EventName", "")),
        at=listed["EventTime"],
        caller=str(caller),
        role=str((session.get("sessionIssuer") or {}).get("arn", "")),
        asked=asked,
        answered=asked | frozenset(_values(record.get("responseElements"))),
        node_group=str((record.get("requestParameters") or {}).get("nodegroupName", "")),
    )


def _values(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            yield from _values(item)
    elif document is not None:
        yield str(document)


def _cidrs(values: frozenset[str]) -> Iterator[IPv4Network]:
    for value in values:
        if "/" in value and value[0].isdigit():
            try:
                yield IPv4Network(value)
            except ValueError:
                continue
