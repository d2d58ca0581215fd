"""Filters of Describe calls: how many values a call takes, and how long one may be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stack.aws.conftest import Network, code_of


def filters(*numbers: int) -> list[dict[str, Any]]:
    names = ("vpc-id", "subnet-id")
    return [
        {"Name": name, "Values": [f"{name}{one}" for one in range(number)]}
        for name, number in zip(names, numbers, strict=False)
    ]


@pytest.mark.parametrize(
    ("numbers", "code"), [((200,), ""), ((201,), "FilterLimitExceeded"), ((150, 51), "FilterLimitExceeded")]
)
def test_given_filters_when_their_values_are_more_than_200_in_all_then_the_call_is_refused(
    network: Network, numbers: tuple[int, ...], code: str
):
    assert code_of(network.ec2.describe_subnets, Filters=filters(*numbers)) == code


@pytest.mark.parametrize(("length", "code"), [(255, ""), (256, "FilterLimitExceeded")])
def test_given_a_filter_when_a_value_is_longer_than_255_then_the_call_is_refused(
    network: Network, length: int, code: str
):
    value = [{"Name": "tag:team", "Values": ["x" * length]}]
    assert code_of(network.ec2.describe_subnets, Filters=value) == code
