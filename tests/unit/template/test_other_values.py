"""The deployments of `tests/integration/test_deploying.py` have every parameter with other values than its default."""

from __future__ import annotations

import re

import pytest

from tests.integration.support.parameters import OTHER_VALUES, deployments, other_values, parameters


def test_every_parameter_has_another_value_in_some_deployment() -> None:
    assert {name for one in deployments() for name in one} == set(parameters())
    assert {name: len(values) for name, values in other_values().items() if not values} == {}


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_the_other_values_are_such_as_the_template_takes(name: str) -> None:
    parameter = parameters()[name]
    assert "AllowedValues" not in parameter, "its values are read from the template"
    for value in OTHER_VALUES[name]:
        if "{" not in value and "AllowedPattern" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], value), value
