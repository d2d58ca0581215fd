"""When the change window is open, in its own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.approvals.change_window import ChangeWindow

BERLIN = ZoneInfo("Europe/Berlin")


def is_open(window: str, day: int, hour: int, minute: int = 0, zone: ZoneInfo | None = None) -> bool:
    """March 2026 begins on a Sunday: the 2nd is a Monday."""
    return ChangeWindow.parse(window).is_open(datetime(2026, 3, day, hour, minute, tzinfo=zone or UTC))


@pytest.mark.parametrize(
    ("day", "hour", "minute", "expected"),
    [(2, 8, 0, True), (2, 7, 59, False), (6, 17, 59, True), (6, 18, 0, False), (7, 12, 0, False), (1, 12, 0, False)],
)
def test_given_working_hours_then_it_is_open_within_them(day: int, hour: int, minute: int, expected: bool):
    assert is_open("Mon-Fri 08:00-18:00 Europe/Berlin", day, hour, minute, BERLIN) is expected


def test_given_a_time_in_another_zone_then_the_windows_zone_counts():
    assert is_open("Mon 08:00-09:00 Asia/Seoul", 1, 23, 30)
    assert not is_open("Mon 08:00-09:00 Asia/Seoul", 2, 8, 30)


def test_given_no_zone_then_it_is_utc():
    assert is_open("Mon 08:00-09:00", 2, 8, 30)


@pytest.mark.parametrize(("day", "hour", "expected"), [(7, 23, True), (8, 5, True), (8, 6, False), (7, 5, False)])
def test_given_a_window_over_midnight_then_it_belongs_to_the_day_it_opens(day: int, hour: int, expected: bool):
    assert is_open("Sat 22:00-06:00", day, hour) is expected


def test_given_days_over_the_weekend_then_they_wrap():
    assert [is_open("Sat-Mon 00:00-24:00", day, 12) for day in range(1, 8)] == [
        True,
        True,
        False,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "text", ["", "Mon-Fri", "08:00-18:00", "Mon,Wed 08:00-18:00", "Mon 8-18", "Mon 08:00-25:00", "Mon 08:00-18:00 X Y"]
)
def test_given_another_form_then_the_message_tells_the_form(text: str):
    with pytest.raises(ValueError, match=r"Mon-Fri 08:00-18:00 Europe/Berlin"):
        ChangeWindow.parse(text)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "/etc/passwd"])
def test_given_an_unknown_zone_then_the_message_names_it(zone: str):
    with pytest.raises(ValueError, match="Europe"):
        ChangeWindow.parse(f"Mon 08:00-18:00 {zone}")


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.times(),
    st.times(),
)
def test_a_window_of_all_days_and_its_complement_cover_the_week(now: datetime, one: datetime, other: datetime):
    start, end = f"{one:%H:%M}", f"{other:%H:%M}"
    if start == end:
        return
    inside = ChangeWindow.parse(f"Mon-Sun {start}-{end}").is_open(now)
    outside = ChangeWindow.parse(f"Mon-Sun {end}-{start}").is_open(now)
    assert inside is not outside


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_window_is_the_same_every_week_in_utc(now: datetime):
    window = ChangeWindow.parse("Tue-Thu 09:30-17:15")
    assert window.is_open(now) is window.is_open(now + timedelta(days=7))
