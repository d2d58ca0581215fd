"""Which zones of a cluster will run out of addresses, and when that is announced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ip_remediator.forecasting.forecast import Forecast
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.model import ParsedRecord, Source, build
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.eni_subnets import zone_subnets, zones_of
from ip_remediator.snapshot.node_room.free_space import lasting

# A forecast that stays as it is, or a full subnet that nobody cured, is announced again this much later.
REMINDED_AFTER = timedelta(hours=12)


@dataclass(frozen=True)
class ZoneForecast:
    """A zone in which no subnet has a free address from `full_at` on; `last` is the subnet that lasts longest."""

    zone: str
    last: Subnet
    full_at: datetime


def with_forecasts(snapshot: Snapshot, forecasts: Mapping[str, Forecast | None], within: timedelta) -> Snapshot:
    """`snapshot` with `full_at` where the subnet (by id) is forecast to be full `within` that time."""
    latest = snapshot.taken_at + within if snapshot.taken_at else None

    def with_forecast(subnet: Subnet) -> Subnet:
        forecast = forecasts.get(subnet.id)
        near = forecast is not None and latest is not None and forecast.full_at <= latest
        return subnet.model_copy(update={"full_at": forecast.full_at}) if forecast and near else subnet

    return snapshot.model_copy(update={"subnets": tuple(map(with_forecast, snapshot.subnets))})


def zone_forecasts(snapshot: Snapshot) -> list[ZoneForecast]:
    """The zones that will be full. Where ipamd may choose between subnets, all of them must be."""
    if not snapshot.cni.installed:
        return []
    lasting_subnets = ((zone, lasting(zone_subnets(snapshot, zone))) for zone in zones_of(snapshot))
    return [ZoneForecast(zone, last, last.full_at) for zone, last in lasting_subnets if last and last.full_at]


def is_news(
    full_at: datetime, now: datetime, announced_at: datetime | None, announced_full_at: datetime | None
) -> bool:
    """Whether people must hear of `full_at`, after `announced_full_at` was announced at `announced_at`: half of the
    remaining time has passed since, or twelve hours have."""
    if announced_at is None or announced_full_at is None:
        return True
    return (full_at - now) < (announced_full_at - announced_at) / 2 or now - announced_at >= REMINDED_AFTER


def forecast_signal(cluster: str, zone_forecast: ZoneForecast, forecast: Forecast, now: datetime) -> ParsedRecord:
    """The signal that a zone will be full: strong, because the counts are EC2's own."""
    return build(
        source=Source.SWEEP,
        cluster=cluster,
        cause=Cause.SUBNET_FULL,
        strength=Strength.STRONG,
        zone=zone_forecast.zone,
        times=(now, now),
        received_at=now,
        identity=f"forecast-{zone_forecast.last.id}-{now:%Y%m%dT%H%M}",
        excerpt=forecast_text(zone_forecast.last, forecast, now),
    )


def forecast_text(subnet: Subnet, forecast: Forecast, now: datetime) -> str:
    """In words: "subnet-0a (10.0.0.0/28) will be full at 2026-03-01 14:00 UTC (12 free, -9/h)"."""
    rate = f", -{forecast.per_hour:.2g}/h" if forecast.per_hour > 0 else ""
    if forecast.full_at <= now:
        return f"{subnet.id} ({subnet.cidr}) has no free address"
    return (
        f"{subnet.id} ({subnet.cidr}) will be full at {forecast.full_at:%Y-%m-%d %H:%M} UTC ({subnet.free} free{rate})"
    )
