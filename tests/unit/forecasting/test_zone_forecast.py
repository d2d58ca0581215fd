"""Which zones will have no address left, what the diagnosis makes of it, and how often people hear of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ip_remediator.common.enums import Mode, Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.forecasting.forecast import Forecast
from ip_remediator.forecasting.zone_forecast import (
    forecast_signal,
    forecast_text,
    is_news,
    with_forecasts,
    zone_forecasts,
)
from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.cause import cause_line
from ip_remediator.notifications.messages.text import without_references
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Signal, Source
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, NetworkInterface, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.free_space import lasting

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DISCOVERED = {"kubernetes.io/role/cni": "1"}


def subnet(id_: str = "subnet-0a", zone: str = "a", free: int | None = 12, **fields: Any) -> Subnet:
    return Subnet(id=id_, zone=zone, cidr="10.0.0.0/24", free=free, **fields)


def node(zone: str, home: str) -> Node:
    eni = NetworkInterface(id=f"eni-{zone}", subnet_id=home, primary=True)
    return Node(name=f"node-{zone}", zone=zone, max_enis=3, addresses_per_eni=6, interfaces=(eni,))


def snapshot(*subnets: Subnet, **fields: Any) -> Snapshot:
    zones = {subnet.zone: subnet.id for subnet in reversed(subnets)}
    facts: dict[str, Any] = {
        "taken_at": NOW,
        "cluster": Cluster(name="prod"),
        "cni": Cni(version="v1.19.0"),
        "nodes": tuple(node(zone, home) for zone, home in zones.items()),
        "subnets": subnets,
    }
    return Snapshot(**{**facts, **fields})


def in_hours(hours: float) -> Forecast:
    return Forecast(NOW + hours * HOUR, 2.5, "days")


def test_only_forecasts_within_reach_are_taken_over() -> None:
    facts = snapshot(subnet("subnet-0a"), subnet("subnet-0b", "b"), subnet("subnet-0c", "c"))
    forecasted = with_forecasts(
        facts, {"subnet-0a": in_hours(24), "subnet-0b": in_hours(25), "subnet-0c": None}, 24 * HOUR
    )
    assert [one.full_at for one in forecasted.subnets] == [NOW + 24 * HOUR, None, None]
    assert [zone_forecast.zone for zone_forecast in zone_forecasts(forecasted)] == ["a"]


def test_given_two_subnets_that_ipamd_may_choose_from_then_the_one_that_lasts_longer_counts() -> None:
    first, second = (
        subnet("subnet-0a", full_at=NOW + HOUR),
        subnet("subnet-0b", full_at=NOW + 9 * HOUR, tags=DISCOVERED),
    )
    [zone_forecast] = zone_forecasts(snapshot(first, second))
    assert (zone_forecast.last.id, zone_forecast.full_at) == ("subnet-0b", NOW + 9 * HOUR)
    assert zone_forecasts(snapshot(first, subnet("subnet-0b", tags=DISCOVERED))) == []
    assert lasting([]) is None


def test_given_the_vpc_cni_does_not_run_then_nothing_is_foretold() -> None:
    assert zone_forecasts(snapshot(subnet(full_at=NOW + HOUR), cni=Cni(installed=False))) == []


def test_given_a_subnet_that_will_be_full_and_no_stuck_pod_then_the_verdict_is_exhausted_with_the_evidence() -> None:
    result = diagnose(snapshot(subnet(full_at=NOW + 5 * HOUR)))
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    assert result.curable
    assert result.summary == (
        "a: subnet-0a has 12 free and will be full in about 5 h, at 2026-03-01 14:00 UTC; no pod waits yet; "
        "next: give pods further addresses, as the plan does"
    )
    assert (
        "subnet subnet-0a will be full in about 5 h, at 2026-03-01 14:00 UTC, "
        "by its free addresses of the last 14 days" in result.evidence
    )


def test_given_an_incident_that_is_foreseen_then_its_message_says_when_and_how_much_is_left() -> None:
    result = diagnose(snapshot(subnet(full_at=NOW + 5 * HOUR), subnet("subnet-0b", "b", full_at=NOW + 7 * HOUR)))
    incident = Incident(
        id="prod-1", cluster="prod", region="eu-west-1", mode=Mode.APPROVE, opened_at=NOW, diagnosis=result
    )
    assert without_references(cause_line(incident).text) == (
        "no address left in a and b from 2026-03-01 14:00 UTC (24 addresses left): no pod waits yet"
    )


def test_given_no_forecast_then_free_addresses_and_no_stuck_pod_are_recovery() -> None:
    assert diagnose(snapshot(subnet())).verdict is Verdict.RECOVERED


def test_given_pods_that_hang_for_another_reason_then_a_forecast_does_not_hide_it() -> None:
    full = subnet(free=200, full_at=NOW + 5 * HOUR)
    stuck = StuckPod(namespace="default", name="web", node="node-a")
    result = diagnose(snapshot(full, stuck_pods=(stuck,)), [Cause.CNI_IAM, Cause.SUBNET_FULL])
    assert result.verdict is Verdict.CNI_FAULT


@pytest.mark.parametrize(
    ("hours_since", "left_then", "left_now", "news"),
    [
        (0.1, 20, 19.9, False),
        (9, 20, 11, False),
        (10.5, 20, 9.5, True),
        (1, 20, 3, True),  # sudden growth
        (1, 0, 0, False),  # full, and told so
        (12, 0, 0, True),
        (11.9, 20, 20, False),  # a forecast that stays where it is
        (12, 20, 20, True),
    ],
)
def test_people_hear_again_when_half_of_the_time_is_gone_or_after_twelve_hours(
    hours_since: float, left_then: float, left_now: float, news: bool
) -> None:
    announced_at = NOW - hours_since * HOUR
    assert is_news(NOW + left_now * HOUR, NOW, announced_at, announced_at + left_then * HOUR) is news


def test_what_was_never_told_is_news() -> None:
    assert is_news(NOW + 20 * HOUR, NOW, None, None)


def test_the_signal_is_strong_and_says_what_when_and_how_fast() -> None:
    [zone_forecast] = zone_forecasts(snapshot(subnet(full_at=NOW + 5 * HOUR)))
    signal = forecast_signal("prod", zone_forecast, in_hours(5), NOW)
    assert isinstance(signal, Signal)
    assert (signal.source, signal.cause, signal.strength) == (Source.SWEEP, Cause.SUBNET_FULL, Strength.STRONG)
    assert (signal.zone, signal.first_seen, signal.last_seen) == ("a", NOW, NOW)
    assert signal.excerpt == "subnet-0a (10.0.0.0/24) will be full at 2026-03-01 14:00 UTC (12 free, -2.5/h)"


def test_a_full_subnet_is_said_to_be_full() -> None:
    assert (
        forecast_text(subnet(free=0), Forecast(NOW, 0.0, "now"), NOW) == "subnet-0a (10.0.0.0/24) has no free address"
    )


def test_a_wave_has_no_rate() -> None:
    assert forecast_text(subnet(), Forecast(NOW + HOUR, 0.0, "wave"), NOW).endswith("10:00 UTC (12 free)")
