"""When changes may be made without asking: a weekly window such as "Mon-Fri 08:00-18:00 Europe/Berlin"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(_DAYS)
_HOUR = r"(?:[01]\d|2[0-3]):[0-5]\d"
_FORM = re.compile(rf"({_DAY})(?:-({_DAY}))? ({_HOUR})-({_HOUR}|24:00)(?: ([\w/+-]{{1,64}}))?", re.ASCII)


@dataclass(frozen=True)
class ChangeWindow:
    """`days` (0 is Monday) are those on which it opens. It closes at `end`, on the next day if that is not later than
    `start`; None is midnight."""

    days: frozenset[int]
    start: time
    end: time | None
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> ChangeWindow:
        """Reads DAYS START-END ZONE: "Mon-Fri 08:00-18:00 Europe/Berlin", "Sat 22:00-06:00" (UTC).

        No commas: AWS allows none in the value of a tag.

        Raises:
            ValueError: the text has another form, or its time zone is unknown. The message shows the form.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f'{text!r} is no change window: write it as "Mon-Fri 08:00-18:00 Europe/Berlin"')
        first, last, start, end, zone = match.groups()
        try:
            time_zone = ZoneInfo(zone or "UTC")
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(f"{zone!r} is no time zone: use a name such as Europe/Berlin or UTC") from error
        return cls(
            days=_days(first, last or first),
            start=time.fromisoformat(start),
            end=None if end == "24:00" else time.fromisoformat(end),
            zone=time_zone,
        )

    def is_open(self, now: datetime) -> bool:
        """Whether the aware time `now` lies in the window, in the window's own time zone."""
        local = now.astimezone(self.zone)
        today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
        clock = local.time()
        if self.end is None:
            return today in self.days and clock >= self.start
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        return (today in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


def _days(first: str, last: str) -> frozenset[int]:
    """From `first` to `last`, across the end of the week if necessary."""
    start, end = _DAYS.index(first), _DAYS.index(last)
    return frozenset((start + offset) % 7 for offset in range((end - start) % 7 + 1))
