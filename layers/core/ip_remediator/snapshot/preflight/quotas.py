"""The account's quotas that bound a plan, from Service Quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.snapshot.model import Quotas
from ip_remediator.snapshot.read_failures import ReadFailures

# Codes of service "vpc", as https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html links them.
CODES: Mapping[str, str] = {
    "L-83CA0A9D": "cidrs_per_vpc",
    "L-407747CB": "subnets_per_vpc",
    "L-93826ACB": "routes_per_table",
    "L-BB24F6E5": "network_address_units",
    "L-CD17FD4B": "peered_network_address_units",
    "L-DF5E4CA3": "interfaces_per_zone",
}


def read_quotas(client: Any, unread: ReadFailures) -> Quotas:
    """The quotas in force, in one call for all of them; `client` is boto3's of service-quotas.

    One that Service Quotas does not list counts as AWS's default, and gets a line in `unread`. Raises the errors of
    `common.errors`.
    """
    with aws_call("ListServiceQuotas"):
        listed = client.get_paginator("list_service_quotas").paginate(
            ServiceCode="vpc", PaginationConfig={"PageSize": 100}
        )
        values = {
            CODES[quota["QuotaCode"]]: int(quota["Value"])
            for page in listed
            for quota in page["Quotas"]
            if quota["QuotaCode"] in CODES
        }
    if missing := sorted(CODES.values() - values.keys()):
        unread.note(f"quotas {', '.join(missing)}", "Service Quotas does not list them, AWS's defaults are assumed")
    return Quotas(applied=True, **values)
