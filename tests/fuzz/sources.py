"""What is fuzzed: for each source how an input is made, and what must hold of everything that comes out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import sys
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from ip_remediator.intake.handle import Intake
from ip_remediator.signals.correlation import (
    Closings,
    Rules,
    SignalSummary,
    remember,
    should_open_incident,
    signals_after_cooldown,
    summarize,
)
from ip_remediator.signals.error_catalogue import Strength
from ip_remediator.signals.events import parse_eventbridge, parse_message
from ip_remediator.signals.logs import parse_logs
from ip_remediator.signals.model import EXCERPT_CHARACTERS, Dropped, Signal, UnplacedSignal
from ip_remediator.slack_interactions.requests import Click, Refused, read_click
from ip_remediator_cli.commands import signals as command
from ip_remediator_cli.errors import BadInput
from tests.fuzz.hostile import deeply_nested, mutant, value
from tests.unit.signals.test_alarm_forms import ALARMS, FIRING
from tests.unit.signals.test_event_shapes import SHAPES
from tests.unit.signals.test_reported_forms import EVENTS, LINES

SAMPLES = Path(__file__).parents[1] / "data" / "signals"
RECEIVED_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOT_JSON = "not JSON"
SIGNING_SECRET = "a-signing-secret"
RULES = Rules.of("2", "15", "15")
FIELDS = set(Signal.model_fields)


@dataclass(frozen=True)
class Source:
    """`make` an input; `read` it as the product does, and say what it was taken for. AssertionError: it was wrong."""

    name: str
    make: Callable[[Random], Any]
    read: Callable[[Any], Iterable[str]]


def samples(*patterns: str) -> list[str]:
    result = sorted({path for pattern in patterns for path in SAMPLES.glob(pattern)})
    assert result, patterns
    return [json.dumps(json.loads(path.read_text())) for path in result]


def checked(outcome: object) -> str:
    """What the outcome counts as, once it is known to be sound."""
    if isinstance(outcome, Dropped):
        return f"dropped: {outcome.reason.value}"
    if isinstance(outcome, UnplacedSignal):
        placed = outcome.in_cluster("shop-prod")
        assert isinstance(placed, Signal)
        outcome = placed
    assert isinstance(outcome, Signal), type(outcome)
    assert len(outcome.excerpt) <= EXCERPT_CHARACTERS
    assert outcome.excerpt.isprintable()
    assert outcome.first_seen <= outcome.last_seen <= RECEIVED_AT, "seen before it was received"
    outcome.model_dump_json().encode()
    _decide(outcome.cluster, [outcome.model_copy(update={"strength": Strength.WEAK})])
    return f"signal: {outcome.cause.value}"


def _decide(_cluster: str, signals: Sequence[Signal]) -> None:
    """What is decided of a cluster's signals, and remembered of them."""
    should_open_incident(remember((), signals), RULES)
    signals_after_cooldown(signals, Closings(RECEIVED_AT), RULES)
    summarize(SignalSummary(), signals)


def _json(text: str) -> Any:
    """What the functions make of text: it fails there as here, and goes to the dead-letter queue."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NOT_JSON


def _read_event(text: str) -> Iterable[str]:
    event = _json(text)
    yield NOT_JSON if event is NOT_JSON else checked(parse_eventbridge(event, received_at=RECEIVED_AT))


def events(name: str, *patterns: str) -> Source:
    """A source of EventBridge events."""
    originals = samples(*patterns)
    return Source(name, lambda rng: mutant(rng.choice(originals), rng), _read_event)


# ------------------------------------------------------------------------------- every other shape and envelope
_REFUSED = {"errorCode": "Client.InsufficientFreeAddressesInSubnet", "errorMessage": "x"}
_TAGS = {"items": [{"tags": [{"key": "eks:cluster-name", "value": "shop-prod"}]}]}
_REQUEST = {"subnetId": "subnet-0783288fba3453a60", "tagSpecificationSet": _TAGS}
_LAUNCH = "There are not enough free addresses in subnet 'subnet-0783288fba3453a60' to satisfy the requested number"
_ISSUES = {
    "issues": [{"code": "InsufficientFreeAddresses", "message": "x", "resourceIds": ["subnet-0783288fba3453a60"]}]
}
_ENTITY = {"entityValue": "arn:aws:eks:eu-west-1:111122223333:cluster/shop-prod"}
CALLS = (
    {"eventName": "RunInstances", "eventSource": "ec2.amazonaws.com", "requestParameters": _REQUEST, **_REFUSED},
    {"AutoScalingGroupName": "eks-x", "StatusMessage": _LAUNCH, "Details": {"Subnet ID": "subnet-0783288fba3453a60"}},
    {"cluster": {"name": "shop-prod", "health": _ISSUES}},
    {
        "service": "EKS",
        "eventTypeCode": "x",
        "eventDescription": [{"latestDescription": "InsufficientFreeAddresses"}],
        "affectedEntities": [_ENTITY],
    },
)
_ORIGINALS = (*SHAPES.values(), *EVENTS.values(), *LINES.values(), *ALARMS.values(), *FIRING.values(), *CALLS)
_SHAPES = [json.dumps(shape) for shape in _ORIGINALS]


def _make_shape(rng: Random) -> str:
    """A document of some tool, or of AWS, in up to two envelopes."""
    text = mutant(rng.choice(_SHAPES), rng)
    for _ in range(rng.randrange(3)):
        key = rng.choice(("event", "body", "message", "log", "detail", "Message", "object", "data"))
        text = (
            json.dumps({key: text, "TopicArn": "arn", "source": "x"}) if rng.random() < 0.5 else f'{{"{key}": {text}}}'
        )
    return text


def _read_shape(text: str) -> Iterable[str]:
    document = _json(text)
    if document is NOT_JSON:
        return [NOT_JSON]
    return [checked(outcome) for outcome in parse_message(document, received_at=RECEIVED_AT, cluster="shop-prod")]


# -------------------------------------------------------------------------------------------------- logs
_BATCHES = samples("logs_*.json")
_BOMB = zlib.compressobj(9, wbits=31)
_BOMB_DATA = b"".join(_BOMB.compress(b" " * 1_000_000) for _ in range(40)) + _BOMB.flush()


def _make_logs(rng: Random) -> Any:
    if rng.random() < 0.02:
        return value(rng)
    packed = _packed(rng)
    if rng.random() < 0.05:
        at = rng.randrange(len(packed) + 1)
        packed = packed[:at] + bytes([rng.randrange(256)]) + packed[at + rng.randrange(3) :]
    data = base64.b64encode(packed).decode()
    if rng.random() < 0.05:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + chr(rng.randrange(0x200)) + data[at + rng.randrange(3) :]
    return {"awslogs": {"data": data}}


def _packed(rng: Random) -> bytes:
    if rng.random() < 0.0001:
        return _BOMB_DATA
    text = mutant(rng.choice(_BATCHES), rng) if rng.random() < 0.5 else _with_odd_lines(rng)
    deflate = zlib.compressobj(1, wbits=31)
    return deflate.compress(text.encode("utf-8", "surrogatepass")) + deflate.flush()


def _with_odd_lines(rng: Random) -> str:
    """A sound batch: all that others can write to a log group are its lines."""
    batch = json.loads(rng.choice(_BATCHES))
    for event in batch["logEvents"]:
        event["message"] = mutant(event["message"], rng) if event["message"].startswith("{") else value(rng)
    return json.dumps(batch)


def _read_logs(payload: Any) -> Iterable[str]:
    return [checked(outcome) for outcome in parse_logs(payload, received_at=RECEIVED_AT)] or ["no lines"]


# -------------------------------------------------------------------------------------------------- command line
_ANY = samples("*.json")


def _make_file(rng: Random) -> bytes:
    shape = rng.randrange(5)
    records = [mutant(rng.choice(_ANY), rng) for _ in range(1 if shape < 3 else rng.randrange(1, 4))]
    text = f"[{','.join(records)}]" if shape == 3 else "\n".join(records)
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.03:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.randbytes(rng.randrange(4)) + data[at:]
    return data


def _read_file(data: bytes) -> Iterable[str]:
    """`ip-remediator signals -`: a line for each record, or a complaint in words."""
    printed, typed = io.StringIO(), io.TextIOWrapper(io.BytesIO(data))
    with redirect_stdout(printed), patch.object(sys, "stdin", typed), patch.object(command, "datetime", _Clock):
        try:
            status, complaint = command.run(Namespace(file="-", cluster=None, explain=False)), ""
        except BadInput as error:
            status, complaint = 0, str(error)
    assert status == 0
    assert len(complaint) < 1_000
    if complaint:
        return [NOT_JSON]
    lines = [json.loads(line) for line in printed.getvalue().splitlines()]
    assert all(set(line) - {"place"} in (FIELDS, {"dropped"}) for line in lines), lines
    return [f"dropped: {line['dropped']}" if "dropped" in line else f"signal: {line['cause']}" for line in lines] or [
        "no records"
    ]


class _Clock:
    """Stands in for `datetime` where the command asks for the time."""

    @staticmethod
    def now(_zone: object) -> datetime:
        return RECEIVED_AT


# -------------------------------------------------------------------------------------------------- queue
def _make_batch(rng: Random) -> list[str]:
    return [_make_body(rng) for _ in range(rng.randrange(1, 4))]


def _make_body(rng: Random) -> str:
    """An event; or a payload of CloudWatch Logs that comes back from the dead-letter queue."""
    if rng.random() < 0.9:
        return mutant(rng.choice(_ANY), rng)
    body = json.dumps({"version": "1.0", "requestPayload": _make_logs(rng), "responsePayload": {}})
    return body if rng.random() < 0.7 else mutant(body, rng)


def _read_batch(bodies: list[str]) -> Iterable[str]:
    """Only bodies that are no JSON are buried, each alone; every other record is counted, its signals can be joined."""
    records = [{"messageId": str(number), "body": body, "eventSource": "aws:sqs"} for number, body in enumerate(bodies)]
    buried: dict[str, str] = {}
    with redirect_stdout(io.StringIO()):
        answer = Intake(_decide, buried.__setitem__).ingest(records, RECEIVED_AT)
    assert answer == {"batchItemFailures": []}
    for number, body in enumerate(bodies):
        # Near Python's recursion limit the caller's own depth decides.
        assert (body in buried) == (_json(body) is NOT_JSON) or deeply_nested(body), number
    return [NOT_JSON if body in buried else "taken" for body in bodies]


# -------------------------------------------------------------------------------------------------- slack
def clicked(action: str, subject: str) -> str:
    value = json.dumps({subject: "Zk3-x_9"})
    button = {"action_id": action, "block_id": "approval-1a2b3c4d", "value": value, "type": "button"}
    click = {
        "type": "block_actions",
        "user": {"id": "U0000ONCALL", "username": "on-call", "team_id": "T1"},
        "channel": {"id": "C0000INCIDENTS"},
        "actions": [button],
        "trigger_id": "1.2.3",
        "response_url": "https://hooks.slack.com/actions/1",
    }
    return json.dumps(click)


_CLICKS = [clicked("approve", "approval"), clicked("rollback", "incident"), clicked("details", "incident")]


def _make_request(rng: Random) -> dict[str, Any]:
    """A request to the function URL; most are signed, for the parser is behind the signature."""
    payload = mutant(rng.choice(_CLICKS), rng).encode("utf-8", "surrogatepass")
    body = rng.choice((b"payload=" + quote(payload).encode(), b"payload=" + payload, payload, rng.randbytes(30)))
    now = str(int(RECEIVED_AT.timestamp()))
    headers = {"x-slack-request-timestamp": now}
    signature = hmac.new(SIGNING_SECRET.encode(), b"v0:" + now.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers["X-Slack-Signature"] = f"v0={signature}"
    if rng.random() < 0.1:
        headers[rng.choice(list(headers))] = str(value(rng))
    return {
        "version": "2.0",
        "headers": headers,
        "requestContext": {"http": {"method": rng.choice(("POST",) * 20 + ("GET", ""))}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": rng.random() < 0.99,
    }


def _read_request(event: dict[str, Any]) -> Iterable[str]:
    try:
        click = read_click(event, SIGNING_SECRET, RECEIVED_AT.timestamp())
    except Refused as refusal:
        return [f"refused: {HTTPStatus(refusal.status).value}"]
    if click is None:
        return ["no click"]
    assert isinstance(click, Click)
    # as it is handed on, and as it opens a modal
    json.dumps({"click": asdict(click), "view": click.view, "user": click.user_name}).encode()
    return ["click"]


SOURCES = (
    events("alarm", "alarm_*.json"),
    events("event", "event_[!l]*.json"),
    events("layout", "event_layout*.json"),
    events("own", "own_*.json"),
    Source("shapes", _make_shape, _read_shape),
    Source("logs", _make_logs, _read_logs),
    Source("command", _make_file, _read_file),
    Source("queue", _make_batch, _read_batch),
    Source("slack", _make_request, _read_request),
)
