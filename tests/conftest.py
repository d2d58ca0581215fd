"""What holds for every test: how many examples properties get, and how long a busy machine may take."""

from __future__ import annotations

import pytest

from tests.support import properties
from tests.support.patience import within

properties.load_profile()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A worker gets the controller's options, with the deadline already prolonged.
    if config.option.timeout and not hasattr(config, "workerinput"):
        config.option.timeout = within(config.option.timeout)
