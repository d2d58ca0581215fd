"""Showing something again and again: in place on a terminal, elsewhere once more whenever it has changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from ip_remediator_cli.tables import on_terminal


def watch(shown: Callable[[], str | None], seconds: float) -> None:
    """Prints what `shown` says every `seconds` until it says None."""
    if on_terminal():
        _in_place(shown, seconds)
        return
    before = None
    while (text := shown()) is not None:
        if text != before:
            print(f"{text}\n", flush=True)
        before = text
        time.sleep(seconds)


def _in_place(shown: Callable[[], str | None], seconds: float) -> None:
    from rich.live import Live  # noqa: PLC0415 - pipes do without
    from rich.text import Text  # noqa: PLC0415

    # What is higher than the terminal is cut while it is watched, and whole at the end: drawn whole each time, it would
    # scroll away what stood above.
    with Live(auto_refresh=False, vertical_overflow="ellipsis") as live:
        while (text := shown()) is not None:
            live.update(Text.from_ansi(text), refresh=True)
            time.sleep(seconds)
