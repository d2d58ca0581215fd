"""CloudWatch: evaluates alarms as documented and publishes an event when an alarm changes its state."""

from __future__ import annotations

import json
import logging
import operator
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge

from local.aws.corrections.guard import original, replace, require
from local.aws.partitions import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

EVALUATION_SECONDS = 1.0
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
INSUFFICIENT_DATA = "INSUFFICIENT_DATA"

log = logging.getLogger(__name__)


def install() -> None:
    """Correct the evaluation of alarms."""
    require(cloudwatch, "_metrics", "_calc_stats", "_stat_value", "_dispatch_alarm_actions", "_evaluate_parent_alarms")
    require(cloudwatch, "_alarms", "_composite_alarms")
    evaluate_documented()
    publish_state_changes()
    threading.Thread(target=_evaluate_forever, name="alarms", daemon=True).start()


def evaluate_documented() -> None:
    """Dimensions, DatapointsToAlarm and TreatMissingData count (AlarmThatSendsEmail.html, alarms-and-missing-data).

    MiniStack mixes all dimensions of a metric into one average.
    """
    of_ministack = original(cloudwatch, "_evaluate_alarm")

    def evaluate(alarm: dict[str, Any]) -> None:
        if alarm.get("ComparisonOperator") in COMPARISONS and alarm.get("MetricName"):
            _apply(alarm, _state(alarm, _datapoints(alarm, time.time())))
        else:
            of_ministack(alarm)

    replace(cloudwatch, "_evaluate_alarm", evaluate)


def _datapoints(alarm: dict[str, Any], now: float) -> list[float | None]:
    """The metric's statistic in each of the evaluation periods, the newest first; None where there is no data."""
    dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or []}
    points = [
        point
        for (namespace, name, _), stored in list(original(cloudwatch, "_metrics").items())
        if (namespace, name) == (alarm["Namespace"], alarm["MetricName"])
        for point in stored
        if (point.get("Dimensions") or {}) == dimensions
    ]
    period = int(alarm.get("Period") or 60)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    datapoints: list[float | None] = []
    for index in range(int(alarm.get("EvaluationPeriods") or 1)):
        end = now - period * index
        window = [point for point in points if end - period < point["Timestamp"] <= end]
        value = _statistic(window, statistic) if window else None
        datapoints.append(value)
    return datapoints


def _statistic(points: list[dict[str, Any]], name: str) -> float | None:
    stats = original(cloudwatch, "_calc_stats")(points)
    value: float | None = original(cloudwatch, "_stat_value")(stats, name, points)
    return value


def _state(alarm: dict[str, Any], datapoints: list[float | None]) -> str | None:
    """The alarm state that follows from the datapoints; None when the state does not change."""
    missing = alarm.get("TreatMissingData") or "missing"
    if all(value is None for value in datapoints):
        return {"breaching": "ALARM", "notBreaching": "OK", "missing": INSUFFICIENT_DATA}.get(missing)
    compare = COMPARISONS[alarm["ComparisonOperator"]]
    breaching = sum(
        missing == "breaching" if value is None else compare(value, float(alarm["Threshold"])) for value in datapoints
    )
    needed = int(alarm.get("DatapointsToAlarm") or len(datapoints))
    # With data missing but the rest breaching, "missing" and "ignore" judge by the data there is.
    present = sum(value is not None for value in datapoints)
    if missing in ("missing", "ignore"):
        needed = min(needed, present)
    return "ALARM" if breaching >= needed else "OK"


def _apply(alarm: dict[str, Any], state: str | None) -> None:
    old = alarm["StateValue"]
    if state is None or state == old:
        return
    reason = f"Threshold Crossed: {alarm['MetricName']} {alarm['ComparisonOperator']} {alarm.get('Threshold')}"
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    original(cloudwatch, "_record_history")(alarm["AlarmName"], old, state, reason)
    original(cloudwatch, "_dispatch_alarm_actions")(alarm, old, state, reason)
    original(cloudwatch, "_evaluate_parent_alarms")(alarm)


def _evaluate_forever() -> None:
    evaluate_all = original(cloudwatch, "_evaluate_all_alarms")
    while True:
        time.sleep(EVALUATION_SECONDS)
        try:
            evaluate_all()
        except RuntimeError:
            # The dictionary of alarms changed while it was read; the next round sees it whole.
            log.debug("alarms changed during their evaluation")


def publish_state_changes() -> None:
    """Publish "CloudWatch Alarm State Change" for every change of state; MiniStack publishes nothing."""
    record = original(cloudwatch, "_record_history")
    put_events = original(eventbridge, "_put_events")

    def record_and_publish(name: str, old: str, new: str, reason: str, *arguments: Any, **keywords: Any) -> None:
        record(name, old, new, reason, *arguments, **keywords)
        if old != new:
            alarms = original(cloudwatch, "_alarms"), original(cloudwatch, "_composite_alarms")
            alarm = alarms[0].get(name) or alarms[1].get(name) or {}
            put_events({"Entries": [_event(name, alarm, old, new, reason)]}, allow_aws_source=True)

    replace(cloudwatch, "_record_history", record_and_publish)


def _event(name: str, alarm: dict[str, Any], old: str, new: str, reason: str) -> dict[str, Any]:
    """Entry of PutEvents in the shape of cloudwatch-and-eventbridge.html."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    configuration: dict[str, Any] = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("AlarmRule"):
        configuration["alarmRule"] = alarm["AlarmRule"]
    if alarm.get("MetricName"):
        metric = {
            "namespace": alarm["Namespace"],
            "name": alarm["MetricName"],
            "dimensions": {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or []},
        }
        stat = {"metric": metric, "period": int(alarm.get("Period") or 60), "stat": statistic}
        configuration["metrics"] = [{"id": "m1", "metricStat": stat, "returnData": True}]
    data = {"version": "1.0", "queryDate": stamp, "statistic": statistic, "threshold": alarm.get("Threshold")}
    detail = {
        "alarmName": name,
        "state": {"value": new, "reason": reason, "reasonData": json.dumps(data), "timestamp": stamp},
        "previousState": {"value": old, "timestamp": stamp},
        "configuration": configuration,
    }
    return {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Detail": json.dumps(detail),
        "Resources": [f"arn:{partition_of(get_region())}:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"],
    }
