"""When a subnet will be full: histories made up after what clusters do, and properties of the arithmetic."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.forecasting.forecast import KEEP_HOURS, Forecast, History, forecast, hour_of

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 10, 12, 20, tzinfo=UTC)
TOP = datetime(2026, 3, 10, 12, tzinfo=UTC)
WEEKS = KEEP_HOURS
# What is free `hours` from now; the past has negative hours.
Course = Callable[[float], float]


def history_of(course: Course, hours: int = WEEKS, missing: Callable[[int], bool] = lambda hour: False) -> History:
    return History({hour_of(NOW) - ago: free(course, -ago) for ago in range(1, hours + 1) if not missing(-ago)})


def free(course: Course, hour: float = 0) -> int:
    return max(0, round(course(hour)))


def forecast_of(
    course: Course, hours: int = WEEKS, missing: Callable[[int], bool] = lambda hour: False
) -> Forecast | None:
    return forecast(history_of(course, hours, missing), NOW, free(course))


def wave(phase: float = 0, height: float = 40) -> Course:
    return lambda hour: height * sin(2 * pi * (hour + phase) / 24)


def first_full(course: Course) -> int:
    return next(hour for hour in range(KEEP_HOURS) if course(hour) <= 0)


@pytest.mark.parametrize(("starting", "rate"), [(20, 1), (100, 5), (400, 40), (48, 0.5)])
def test_given_linear_growth_then_the_hour_is_that_of_the_line(starting: int, rate: float) -> None:
    result = forecast_of(lambda hour: starting - rate * hour)
    assert result is not None
    assert abs(result.full_at - (TOP + HOUR * starting / rate)) <= HOUR
    assert result.per_hour == pytest.approx(rate, rel=0.05)
    assert result.basis == "days"


@pytest.mark.parametrize("phase", range(0, 24, 3))
@pytest.mark.parametrize("days", [3, 7, 14])
def test_given_daily_waves_that_never_touch_the_ground_then_nothing_is_foretold(phase: int, days: int) -> None:
    course = wave(phase)
    assert forecast_of(lambda hour: 42 + course(hour), 24 * days) is None


@pytest.mark.parametrize("phase", range(0, 24, 3))
def test_given_waves_and_growth_then_the_hour_is_in_the_valley_where_the_wave_first_touches_the_ground(
    phase: int,
) -> None:
    swing = wave(phase)

    def course(hour: float) -> float:
        return 55 + swing(hour) - 12 * hour / 24

    result = forecast_of(course)
    assert result is not None
    assert abs(result.full_at - (TOP + first_full(course) * HOUR)) <= 2 * HOUR
    assert result.per_hour == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("ago", [1, 3, 5, 12, 30, 100])
@pytest.mark.parametrize("days", [3, 5, 14])
def test_given_a_step_down_to_a_level_that_holds_then_nothing_is_foretold(ago: int, days: int) -> None:
    assert forecast_of(lambda hour: 200 if hour < -ago else 20, 24 * days) is None


def test_given_a_step_after_which_the_daily_peak_does_not_fit_any_more_then_the_peak_is_foretold() -> None:
    swing = wave(phase=12)  # falls from now on, and is at its lowest in six hours

    def course(hour: float) -> float:
        return 60 + swing(hour) - (35 if hour >= -2 else 0)

    result = forecast_of(course)
    assert result is not None
    assert (result.full_at, result.basis) == (TOP + first_full(course) * HOUR, "wave")


def test_given_ever_more_free_addresses_then_nothing_is_foretold() -> None:
    assert forecast_of(lambda hour: 60 + 0.1 * hour) is None


def test_given_sudden_growth_that_lasts_then_the_last_hours_decide() -> None:
    result = forecast_of(lambda hour: 200 if hour < -6 else 90 - 18 * hour - 0.001)
    assert result is not None
    assert (result.full_at, result.basis) == (TOP + 5 * HOUR, "hours")
    assert result.per_hour == pytest.approx(18, rel=0.05)


def test_given_the_same_growth_every_morning_then_it_is_no_sudden_growth() -> None:
    def course(hour: float) -> float:
        return 200 - 18 * min((hour + 6) % 24, 8)

    assert forecast_of(course) is None


@pytest.mark.parametrize("period", [5, 9, 24])
def test_given_gaps_then_a_line_is_still_a_line(period: int) -> None:
    result = forecast_of(lambda hour: 30 - hour, missing=lambda hour: hour % period == 0 or -60 < hour < -40)
    assert result is not None
    assert abs(result.full_at - (TOP + 30 * HOUR)) <= HOUR


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("height", [0, 40])
def test_given_noise_then_no_full_subnet_is_foretold_for_the_next_day(seed: int, height: int) -> None:
    noise, swing = random.Random(seed), wave(seed, height)
    result = forecast_of(lambda hour: noise.gauss(30 + height + swing(hour), 5))
    assert result is None or result.full_at - NOW > timedelta(days=1)


@pytest.mark.parametrize("seed", range(20))
def test_given_noisy_growth_then_the_hour_is_near(seed: int) -> None:
    noise = random.Random(seed)
    result = forecast_of(lambda hour: noise.gauss(60 - 3 * hour, 4))
    assert result is not None
    assert abs(result.full_at - (TOP + 20 * HOUR)) <= 4 * HOUR


@pytest.mark.parametrize("hours", [0, 1, 24, 65])
def test_given_less_than_three_days_then_nothing_is_foretold(hours: int) -> None:
    assert forecast_of(lambda hour: 5 - hour, hours) is None


def test_given_days_of_which_little_is_known_then_nothing_is_foretold() -> None:
    assert forecast_of(lambda hour: 5 - hour, missing=lambda hour: hour % 24 < 8) is None


def test_given_no_free_address_then_it_is_full_now_whatever_the_past_was() -> None:
    assert forecast(History(), NOW, 0) == Forecast(NOW, 0.0, "now")


def test_given_a_full_subnet_that_was_given_room_then_the_past_does_not_outweigh_the_present() -> None:
    # given a fall to nothing, and 4,000 addresses more since an hour (a large deployment went away)
    falling = history_of(lambda hour: max(1, 100 + hour * -1))
    assert forecast(falling, NOW, 4000) is None


def test_the_lowest_of_an_hour_is_kept_and_what_is_older_than_14_days_is_forgotten() -> None:
    history = History().observed(NOW, 9).observed(NOW + timedelta(minutes=5), 4).observed(NOW + timedelta(minutes=9), 7)
    assert history.minima == {hour_of(NOW): 4}
    later = history.observed(NOW + KEEP_HOURS * HOUR, 8)
    assert later.minima == {hour_of(NOW) + KEEP_HOURS: 8}
    assert len(history.observed(NOW + (KEEP_HOURS - 1) * HOUR, 8).minima) == 2


counts = st.integers(0, 4000)
histories = st.lists(st.one_of(counts, counts, counts, st.none()), min_size=0, max_size=KEEP_HOURS).map(
    lambda values: {hour_of(NOW) - ago: value for ago, value in enumerate(values, start=1) if value is not None}
)
trends = st.builds(
    lambda start, rate, swing, hours: {
        hour_of(NOW) - ago: max(0, round(start + rate * ago + wave(ago, swing)(0))) for ago in range(1, hours)
    },
    st.integers(1, 300),
    st.floats(-1, 20),
    st.integers(0, 60),
    st.integers(70, KEEP_HOURS),
)
pasts = st.one_of(histories, trends)


def full_in(minima: dict[int, int], now_free: int) -> timedelta:
    result = forecast(History(minima), NOW, now_free)
    return result.full_at - NOW if result else timedelta.max


@given(pasts, counts, st.integers(0, 500))
def test_the_more_is_free_the_later_it_is_full(past: dict[int, int], now_free: int, more: int) -> None:
    assert full_in(past, now_free + more) >= full_in(past, now_free)


@given(pasts, counts, st.integers(1, 500))
def test_the_more_was_always_free_the_later_it_is_full(past: dict[int, int], now_free: int, more: int) -> None:
    higher = {hour: value + more for hour, value in past.items()}
    assert full_in(higher, now_free + more) >= full_in(past, now_free)


@given(pasts, counts, st.sampled_from([2, 4, 16]))
def test_a_subnet_as_many_times_as_large_is_full_at_the_same_time(
    past: dict[int, int], now_free: int, times: int
) -> None:
    larger = {hour: times * value for hour, value in past.items()}
    assert full_in(larger, times * now_free) == full_in(past, now_free)


@given(pasts, counts)
def test_what_is_foretold_is_ahead_and_within_14_days(past: dict[int, int], now_free: int) -> None:
    result = forecast(History(past), NOW, now_free)
    assert result is None or NOW <= result.full_at <= NOW + KEEP_HOURS * HOUR
    assert (now_free == 0) == (result is not None and result.basis == "now")
