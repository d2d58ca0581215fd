"""Service Quotas, which MiniStack lacks: the quotas of a VPC, with AWS's defaults.

An increase that is asked for holds at once, as AWS grants small ones by itself.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.responses import get_account_id, get_region
from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS

from local.aws.corrections.guard import original
from local.aws.wire import Answer, error_answer

SERVICE = "servicequotas"
TARGET_PREFIX = "ServiceQuotasV20190624"
_BAD_REQUEST = 400
_MOST_PER_PAGE = 100
# Defaults that AWS has raised since moto's list was made. Source: "Amazon VPC quotas" of the VPC User Guide,
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html (routes: 50 until June 2025).
_RAISED_DEFAULTS = {"L-93826ACB": 500.0}  # Routes per route table
DEFAULT_QUOTAS: list[dict[str, Any]] = [
    quota | {"Value": _RAISED_DEFAULTS.get(str(quota["QuotaCode"]), quota["Value"])} for quota in VPC_DEFAULT_QUOTAS
]


def install() -> None:
    """Make MiniStack route, authorize and answer the service."""
    quotas = ServiceQuotas()
    original(router, "SERVICE_PATTERNS")[SERVICE] = {"target_prefixes": [TARGET_PREFIX]}
    original(iam_actions, "SERVICE_TO_IAM_NAMESPACE")[SERVICE] = SERVICE
    original(app, "SERVICE_HANDLERS")[SERVICE] = quotas.handle_request


class ServiceQuotas:
    """The quotas of service "vpc"; others are unknown."""

    def __init__(self) -> None:
        # (account, region, quota code) -> the value that an increase was granted to.
        self._granted: dict[tuple[str, str, str], float] = {}

    async def handle_request(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Answer:
        """Answer one request."""
        operations = {
            "GetServiceQuota": self._get,
            "ListServiceQuotas": self._list,
            "RequestServiceQuotaIncrease": self._increase,
        }
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        parameters = json.loads(body or b"{}")
        if action not in operations:
            return error_answer("json", "UnknownOperationException", f"{action} is not offered", _BAD_REQUEST)
        if parameters.get("ServiceCode") != "vpc":
            return _no_such_resource("The request failed because the specified service does not exist.")
        return operations[action](parameters)

    def _get(self, parameters: dict[str, Any]) -> Answer:
        quota = self._quota(parameters)
        return _json({"Quota": quota}) if quota else _unknown_quota()

    def _list(self, parameters: dict[str, Any]) -> Answer:
        """ListServiceQuotas, in pages of `MaxResults` (1 to 100)."""
        size = min(int(parameters.get("MaxResults") or _MOST_PER_PAGE), _MOST_PER_PAGE)
        start = int(parameters.get("NextToken") or 0)
        page = [self._in_force(quota) for quota in DEFAULT_QUOTAS[start : start + size]]
        more = {"NextToken": str(start + size)} if start + size < len(DEFAULT_QUOTAS) else {}
        return _json({"Quotas": page, **more})

    def _increase(self, parameters: dict[str, Any]) -> Answer:
        quota = self._quota(parameters)
        if not quota:
            return _unknown_quota()
        if not quota["Adjustable"] or parameters["DesiredValue"] <= quota["Value"]:
            return error_answer(
                "json", "IllegalArgumentException", "The quota cannot be changed to this value", _BAD_REQUEST
            )
        self._granted[_key(parameters["QuotaCode"])] = parameters["DesiredValue"]
        names = ("ServiceCode", "ServiceName", "QuotaCode", "QuotaName")
        request = {**{name: quota[name] for name in names}, "DesiredValue": parameters["DesiredValue"]}
        return _json({"RequestedQuota": {**request, "Id": uuid4().hex, "Status": "APPROVED"}})

    def _quota(self, parameters: dict[str, Any]) -> dict[str, Any] | None:
        code = parameters.get("QuotaCode")
        return next((self._in_force(quota) for quota in DEFAULT_QUOTAS if quota["QuotaCode"] == code), None)

    def _in_force(self, quota: dict[str, Any]) -> dict[str, Any]:
        return {**quota, "Value": self._granted.get(_key(quota["QuotaCode"]), quota["Value"])}


def _key(code: str) -> tuple[str, str, str]:
    return get_account_id(), get_region(), code


def _unknown_quota() -> Answer:
    return _no_such_resource("The request failed because the specified service quota does not exist.")


def _no_such_resource(message: str) -> Answer:
    return error_answer("json", "NoSuchResourceException", message, _BAD_REQUEST)


def _json(document: dict[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
