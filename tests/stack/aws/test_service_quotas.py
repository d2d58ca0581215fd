"""Service Quotas: what holds for a VPC, asked as boto3 asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Maker, code_of

if TYPE_CHECKING:
    from local.aws.client import LocalAws

CIDRS_PER_VPC, SUBNETS_PER_VPC, ROUTES_PER_TABLE = "L-83CA0A9D", "L-407747CB", "L-93826ACB"


@pytest.fixture
def quotas(aws: LocalAws) -> Any:
    return aws.client("service-quotas")


def value(quotas: Any, code: str) -> float:
    return float(quotas.get_service_quota(ServiceCode="vpc", QuotaCode=code)["Quota"]["Value"])


def test_given_no_increase_then_awss_defaults_hold(quotas: Any):
    listed = {one["QuotaCode"]: one for one in quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]}
    assert (listed[SUBNETS_PER_VPC]["Value"], listed[SUBNETS_PER_VPC]["Adjustable"]) == (200.0, True)
    assert value(quotas, SUBNETS_PER_VPC) == 200.0


def test_given_no_increase_then_a_route_table_takes_five_hundred_routes(quotas: Any):
    # "Amazon VPC quotas" of the VPC User Guide; it was 50 until June 2025.
    listed = {one["QuotaCode"]: one for one in quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]}
    assert (listed[ROUTES_PER_TABLE]["Value"], listed[ROUTES_PER_TABLE]["Adjustable"]) == (500.0, True)
    assert value(quotas, ROUTES_PER_TABLE) == 500.0


def test_given_pages_when_listed_then_every_quota_is_told_once(quotas: Any):
    pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="vpc", PaginationConfig={"PageSize": 7})
    codes = [one["QuotaCode"] for page in pages for one in page["Quotas"]]
    assert codes == [one["QuotaCode"] for one in quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]]


def test_given_an_increase_then_it_holds_in_its_region_alone(aws: LocalAws, quotas: Any):
    asked = {"ServiceCode": "vpc", "QuotaCode": CIDRS_PER_VPC, "DesiredValue": 20}
    assert quotas.request_service_quota_increase(**asked)["RequestedQuota"]["Status"] == "APPROVED"
    assert value(quotas, CIDRS_PER_VPC) == 20.0
    assert value(aws.client("service-quotas", region_name="eu-west-1"), CIDRS_PER_VPC) == 5.0
    assert code_of(quotas.request_service_quota_increase, **asked) == "IllegalArgumentException"


def test_given_something_unknown_then_there_is_no_such_resource(quotas: Any):
    assert code_of(quotas.get_service_quota, ServiceCode="vpc", QuotaCode="L-00000000") == "NoSuchResourceException"
    assert code_of(quotas.list_service_quotas, ServiceCode="nonsense") == "NoSuchResourceException"


def test_given_a_role_without_the_permission_then_it_is_denied(aws: LocalAws, make: Maker):
    allowed = {"Effect": "Allow", "Action": "servicequotas:ListServiceQuotas", "Resource": "*"}
    denied, granted = (aws.client("service-quotas", **make.session(*rules)) for rules in ([], [allowed]))
    assert code_of(denied.list_service_quotas, ServiceCode="vpc") == "AccessDeniedException"
    assert granted.list_service_quotas(ServiceCode="vpc")["Quotas"]
