"""Forecasts the hour in which a subnet will be full, from the lowest free count of each past hour.

The method, with its reasons, is in docs/forecast.md. In short: the expected course of a day (median per hour of the
day) starts from what is free now, and two slopes pull it down, each only where it is proven: the trend of the days'
minima, so that waves alone never alarm, and the growth of the last hours beyond what the hour usually brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from statistics import median
from typing import Literal

KEEP_HOURS = 14 * 24
DAY = 24
# Fewer days cannot distinguish a trend from a daily wave.
MIN_DAYS = 3
# With fewer hours, the day's minimum may be missing.
MIN_HOURS_OF_DAY = 18
# The growth of six hours is used for the next twelve hours only.
RECENT_HOURS = 6
RECENT_HORIZON = 12
# Of all pairs of values, how many must fall for a trend (Mann and Kendall's test, without its tables). Few days are
# known, and their minima are steady; single hours are noisy and looked at often.
FALLING_DAYS = 0.8
FALLING_HOURS = 0.9

Point = tuple[float, float]
Day = Mapping[int, int]
Basis = Literal["now", "days", "hours", "wave"]


@dataclass(frozen=True)
class History:
    """The lowest number of free addresses in each hour, by hours since 1970; hours without a sample are absent."""

    minima: Mapping[int, int] = field(default_factory=dict)

    def observed(self, at: datetime, free: int) -> History:
        """The history with one more sample; what is older than 14 days is forgotten."""
        hour = hour_of(at)
        lowest = min(free, self.minima.get(hour, free))
        kept = {past: value for past, value in self.minima.items() if hour - KEEP_HOURS < past < hour}
        return History({**kept, hour: lowest})


@dataclass(frozen=True)
class Forecast:
    """`full_at`: the start of the hour in which no address is free any more. `per_hour`: how many addresses the
    trend takes each hour. `basis`: what it rests on; `now`: the subnet is full; `wave`: the day's usual course alone.
    """

    full_at: datetime
    per_hour: float
    basis: Basis


def hour_of(moment: datetime) -> int:
    """Hours since 1970."""
    return int(moment.timestamp()) // 3600


def forecast(history: History, now: datetime, free: int) -> Forecast | None:
    """When the subnet with `free` addresses at `now` will be full; None if there is no forecast: the history is too
    short, or nothing indicates that it happens within 14 days."""
    if free <= 0:
        return Forecast(now, 0.0, "now")
    hour = hour_of(now)
    days = _days(history.minima, hour)
    if len(days) < MIN_DAYS:
        return None
    trend = _proven_fall([_minimum(day) for day in days], FALLING_DAYS)
    course = _course_of_day(days, hour, trend)
    growth = _recent_growth(history.minima, hour, free, trend, course)
    long_term = _hours_to_full(course, free, trend, KEEP_HOURS if trend < 0 else DAY)
    short_term = _hours_to_full(course, free, trend + growth, RECENT_HORIZON) if growth < 0 else None
    if short_term is not None and (long_term is None or short_term < long_term):
        return Forecast(_start_of(hour + short_term), -(trend + growth), "hours")
    if long_term is None:
        return None
    return Forecast(_start_of(hour + long_term), -trend, "days" if trend < 0 else "wave")


def _days(minima: Mapping[int, int], hour: int) -> list[Day]:
    """The stretches of 24 hours before `hour` for which enough hours are known, oldest first. They count back from now,
    not from midnight, because a day that has just begun has not had its minimum yet."""
    starts = range(hour - KEEP_HOURS, hour, DAY)
    days = ({h: minima[h] for h in range(start, start + DAY) if h in minima} for start in starts)
    return [day for day in days if len(day) >= MIN_HOURS_OF_DAY]


def _minimum(day: Day) -> Point:
    lowest = min(day.values())
    return next(float(h) for h, value in day.items() if value == lowest), float(lowest)


def _proven_fall(points: Sequence[Point], share: float) -> float:
    """The Theil-Sen slope (median over all pairs), or 0 unless at least `share` of the pairs fall."""
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in combinations(points, 2)]
    falling = sum(slope < 0 for slope in slopes)
    return median(slopes) if slopes and falling >= share * len(slopes) else 0.0


def _course_of_day(days: Iterable[Day], hour: int, trend: float) -> list[float]:
    """How much more or less than the day's level is usually free 0 to 23 hours after `hour`, the trend taken out.

    Each day has a level of its own, so that a step between days is no wave. An hour never seen is as the one before.
    """
    usual: list[list[float]] = [[] for _ in range(DAY)]
    for day in days:
        flat = {h: value - trend * (h - hour) for h, value in day.items()}
        level = median(flat.values())
        for h, value in flat.items():
            usual[(h - hour) % DAY].append(value - level)
    medians = [median(values) if values else None for values in usual]
    last = next(value for value in reversed(medians) if value is not None)
    course = []
    for expected in medians:
        last = last if expected is None else expected
        course.append(last)
    return course


def _recent_growth(minima: Mapping[int, int], hour: int, free: int, trend: float, course: Sequence[float]) -> float:
    """The slope of the last hours beyond the trend and the day's course; 0 unless it has lasted all the while."""
    points = [
        (float(h), minima[h] - trend * (h - hour) - course[(h - hour) % DAY])
        for h in range(hour - RECENT_HOURS, hour)
        if h in minima
    ]
    if len(points) < RECENT_HOURS - 1:
        return 0.0
    return _proven_fall([*points, (float(hour), free - course[0])], FALLING_HOURS)


def _hours_to_full(course: Sequence[float], free: int, slope: float, horizon: int) -> int | None:
    """The first of the next `horizon` hours in which nothing is free."""
    expected = (free + course[ahead % DAY] - course[0] + slope * ahead for ahead in range(1, horizon + 1))
    return next((ahead for ahead, free_addresses in enumerate(expected, start=1) if free_addresses <= 0), None)


def _start_of(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, tz=UTC)
