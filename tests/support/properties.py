"""How many examples a property is tried with: few in `make test`, many in `make test-slow`.

The few are the same in every run, so that nobody's change fails by what another run would have found as well; the many
are new in every run. Every test with `@given` follows the profile; one that needs more or fewer says how many times.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK, THOROUGH = "quick", "thorough"
# A busy machine is slow, which is no fault of the code: no example has a deadline.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def load_profile() -> None:
    """The quick one, unless the command line names another (`--hypothesis-profile`)."""
    settings.register_profile(QUICK, _UNTIMED, max_examples=20, derandomize=True)
    settings.register_profile(THOROUGH, _UNTIMED, max_examples=200)
    settings.load_profile(QUICK)


def examples(times: float) -> settings:
    """The profile with `times` as many examples."""
    return settings(max_examples=max(1, round(times * settings.default.max_examples)))
