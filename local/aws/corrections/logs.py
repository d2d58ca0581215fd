"""CloudWatch Logs: filters match as documented; subscriptions invoke asynchronously, metric filters count lines."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ministack.core.responses import get_account_id
from ministack.services import cloudwatch, cloudwatch_logs, lambda_svc

from local.aws.corrections.guard import original, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|(\S+))')


def install() -> None:
    """Restore how log events reach their subscribers."""
    require(cloudwatch_logs, "_log_groups")
    require(lambda_svc, "_functions", "invoke_async_with_retry")
    require(cloudwatch_logs, "_metric_filters")
    require(cloudwatch, "_store_datum")
    match_phrases()
    invoke_asynchronously()
    count_lines()


def match_phrases() -> None:
    """Phrases, `?` (any of them), `-` (none of them) and %expressions% of unstructured filter patterns count.

    FilterAndPatternSyntax.html, "Using filter patterns to match terms in unstructured log events". MiniStack
    requires every word of the pattern to be in the message.
    """
    of_ministack: Callable[[str, str], bool] = original(cloudwatch_logs, "_subscription_pattern_matches")

    def matches(pattern: str, message: str) -> bool:
        if not pattern.strip():
            return True
        return of_ministack(pattern, message) if pattern.lstrip().startswith(("{", "[")) else _matches(pattern, message)

    replace(cloudwatch_logs, "_subscription_pattern_matches", matches)


def _matches(pattern: str, message: str) -> bool:
    matches: dict[str, list[bool]] = {"": [], "?": [], "-": []}
    for sign, phrase, expression, word in _TERM.findall(pattern):
        text = (phrase or word).replace('\\"', '"')
        matches[sign].append(bool(re.search(expression, message)) if expression else text in message)
    required, optional, excluded = matches.values()
    # Beside terms that must be there, optional ones mean nothing.
    present = all(required) if required else any(optional) or not optional
    return present and not any(excluded)


def invoke_asynchronously() -> None:
    """Retry a failing subscriber, then send the payload to its OnFailure destination (invocation-async.html).

    MiniStack invokes the subscriber once and ignores the result.
    """

    def fan_out(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
        group = original(cloudwatch_logs, "_log_groups").get(group_name) or {}
        for subscription in list((group.get("subscriptionFilters") or {}).values()):
            matches = original(cloudwatch_logs, "_subscription_pattern_matches")
            matching = [event for event in events if matches(subscription.get("filterPattern") or "", event["message"])]
            name = str(subscription.get("destinationArn", "")).partition(":function:")[2].partition(":")[0]
            function = original(lambda_svc, "_functions").get(name)
            # A subscription to the function's own log group would never stop invoking it.
            if matching and function and group_name != f"/aws/lambda/{name}":
                payload = _payload(group_name, stream_name, subscription["filterName"], matching)
                original(lambda_svc, "invoke_async_with_retry")(function, payload)

    replace(cloudwatch_logs, "_fanout_to_subscription_filters", fan_out)


def _payload(group: str, stream: str, name: str, events: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What a subscribed function gets (SubscriptionFilters.html#LambdaFunctionExample)."""
    batch = {
        "messageType": "DATA_MESSAGE",
        "owner": get_account_id(),
        "logGroup": group,
        "logStream": stream,
        "subscriptionFilters": [name],
        "logEvents": [
            {"id": f"{uuid4().int:056d}"[:56], "timestamp": event["timestamp"], "message": event["message"]}
            for event in events
        ],
    }
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}


def count_lines() -> None:
    """A metric filter publishes a value for every matching line, at the line's time (MonitoringLogData.html).

    MiniStack only stores the filters. Supported here: constant values without dimensions, and the default value, which
    is published when no line of a batch matches.
    """
    of_ministack = original(cloudwatch_logs, "_fanout_to_subscription_filters")

    def fan_out(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
        of_ministack(group_name, stream_name, events)
        for metric_filter in list(original(cloudwatch_logs, "_metric_filters").values()):
            if metric_filter["logGroupName"] == group_name:
                _count(metric_filter, events)

    replace(cloudwatch_logs, "_fanout_to_subscription_filters", fan_out)


def _count(metric_filter: dict[str, Any], events: list[dict[str, Any]]) -> None:
    matches = original(cloudwatch_logs, "_subscription_pattern_matches")
    matching = [event for event in events if matches(metric_filter["filterPattern"], event["message"])]
    for metric in metric_filter["metricTransformations"]:
        if matching:
            values = [(event, float(metric["metricValue"])) for event in matching]
        else:
            values = [(event, metric["defaultValue"]) for event in events[-1:] if "defaultValue" in metric]
        namespace, name, unit = metric["metricNamespace"], metric["metricName"], metric.get("unit", "None")
        for event, value in values:
            seconds = event["timestamp"] / 1000
            original(cloudwatch, "_store_datum")(namespace, name, {}, seconds, unit, value, None, None, None)
