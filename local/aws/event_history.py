"""CloudTrail's event history: LookupEvents over the calls that EC2, EKS and Auto Scaling answered.

MiniStack's own records no caller but an access key, and shows an event at once. As on AWS (API_LookupEvents.html;
"How CloudTrail works" of the CloudTrail User Guide): an event appears minutes after its call, an account may ask twice
a second, one attribute can be given, and the newest event comes first. ``Resources`` is empty: which events name their
resources AWS does not document for EKS, so nothing may rely on it. Reads are not kept.
"""

from __future__ import annotations

import json
import re
from collections import deque
from datetime import UTC, datetime
from functools import cache
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs
from uuid import uuid4

import botocore.session
from botocore.parsers import create_parser
from ministack import app
from ministack.core.responses import get_account_id, get_region

from local.aws.corrections.guard import original
from local.aws.wire import Answer, error_answer

if TYPE_CHECKING:
    from local.aws.operations import Operation
    from local.aws.switches import Switches

SERVICE: Final = "cloudtrail"
RECORDED = ("ec2", "eks", "autoscaling")
_READS = ("Get", "List", "Describe")
_KEPT = 10_000
_PAGE = 50
_BAD_REQUEST = 400
# "You can look up events that occurred in a Region within the last 90 days" (API_LookupEvents.html).
_DAYS = 90
_ATTRIBUTES = ("EventName", "EventSource", "Username", "EventId")


class EventHistory:
    """The events of one server, and the lookups of the last second."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._events: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._lookups: deque[float] = deque()

    def install(self) -> None:
        """Answer instead of MiniStack's service."""
        original(app, "SERVICE_HANDLERS")[SERVICE] = self.handle_request

    def records(self, operation: Operation) -> bool:
        """Whether CloudTrail's history gets an event of this call."""
        return operation.service in RECORDED and not operation.action.startswith(_READS)

    def record(self, operation: Operation, path: str, request: bytes, status: int, answer: bytes) -> None:
        """Adds a call that was answered with ``status``."""
        now, response = time(), _response(operation, status, answer)
        failure = response.pop("Error", None)
        event = {
            "eventVersion": "1.11",
            "userIdentity": _identity(operation.principal),
            "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": f"{operation.service}.amazonaws.com",
            "eventName": operation.action,
            "awsRegion": get_region(),
            "requestParameters": _parameters(operation, path, request),
            "responseElements": None if failure else response,
            "eventID": str(uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": get_account_id(),
            **({"errorCode": failure.get("Code"), "errorMessage": failure.get("Message")} if failure else {}),
        }
        self._events.append({"at": now, "event": event})

    async def handle_request(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Answer:
        """Answers one request of the service."""
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action != "LookupEvents":
            return error_answer("json", "UnsupportedOperationException", f"{action} is not offered", _BAD_REQUEST)
        if self._too_fast():
            return error_answer("json", "ThrottlingException", "Rate exceeded", _BAD_REQUEST)
        return self._lookup(json.loads(body or b"{}"))

    def _too_fast(self) -> bool:
        now = monotonic()
        while self._lookups and self._lookups[0] <= now - 1:
            self._lookups.popleft()
        if len(self._lookups) >= self._switches.cloudtrail_lookups_per_second:
            return True
        self._lookups.append(now)
        return False

    def _lookup(self, asked: dict[str, Any]) -> Answer:
        attributes = asked.get("LookupAttributes") or []
        if len(attributes) > 1 or any(attribute["AttributeKey"] not in _ATTRIBUTES for attribute in attributes):
            return error_answer("json", "InvalidLookupAttributesException", "Only one attribute", _BAD_REQUEST)
        if asked.get("StartTime", time()) < time() - _DAYS * 86_400:
            words = "the time range is outside the range of possible values"
            return error_answer("json", "InvalidTimeRangeException", words, _BAD_REQUEST)
        visible = time() - self._switches.cloudtrail_delay_seconds
        wanted = {attribute["AttributeKey"]: attribute["AttributeValue"] for attribute in attributes}
        shown = [
            _shown(stored)
            for stored in reversed(self._events)
            if asked.get("StartTime", 0) <= stored["at"] <= min(visible, asked.get("EndTime", visible))
        ]
        matching = [event for event in shown if all(event[name] == value for name, value in wanted.items())]
        start, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or _PAGE)
        more = {"NextToken": str(start + size)} if len(matching) > start + size else {}
        document = {"Events": matching[start : start + size], **more}
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    event = stored["event"]
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventSource": event["eventSource"],
        "EventTime": int(stored["at"]),
        "ReadOnly": "false",
        "Username": event["userIdentity"]["arn"].rpartition("/")[2],
        "Resources": [],
        "CloudTrailEvent": json.dumps(event),
    }


def _identity(principal: str) -> dict[str, Any]:
    """As "CloudTrail userIdentity element" of the User Guide has it."""
    account = get_account_id()
    assumed = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/(.+)", principal)
    if assumed:
        partition, owner, role, _session = assumed.groups()
        issuer = {"type": "Role", "arn": f"arn:{partition}:iam::{owner}:role/{role}", "userName": role}
        session = {"sessionContext": {"sessionIssuer": issuer}}
        return {"type": "AssumedRole", "arn": principal, "accountId": owner, **session}
    kind = "Root" if principal.endswith(":root") else "IAMUser"
    return {"type": kind, "arn": principal, "accountId": account}


def _parameters(operation: Operation, path: str, request: bytes) -> dict[str, Any]:
    """The request's parameters. How CloudTrail nests EC2's is not imitated: values count, not their places."""
    if operation.protocol == "rest-json":
        return {**_path_parameters(operation, path), **json.loads(request or b"{}")}
    form = parse_qs(request.decode(errors="replace"))
    return {name[0].lower() + name[1:]: values[0] for name, values in form.items() if name not in ("Action", "Version")}


def _path_parameters(operation: Operation, path: str) -> dict[str, str]:
    """The parameters in the path, by their names on the wire: EKS's cluster is `name`."""
    template = _model(operation.service).operation_model(operation.action).http["requestUri"].partition("?")[0]
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    match = re.fullmatch(pattern + "/?", path)
    return match.groupdict() if match else {}


def _response(operation: Operation, status: int, answer: bytes) -> dict[str, Any]:
    model = _model(operation.service)
    shape = model.operation_model(operation.action).output_shape
    raw = {"status_code": status, "headers": {}, "body": answer}
    parsed = create_parser(model.metadata["protocol"]).parse(raw, shape)
    parsed.pop("ResponseMetadata", None)
    document: dict[str, Any] = json.loads(json.dumps(parsed, default=str))
    return document


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)
