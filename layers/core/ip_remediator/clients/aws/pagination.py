"""EC2's paged answers, one page in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def pages(ec2: EC2Client, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """The items under `key` of every page. Raises the errors of `common.errors`.

    Each item leaves its page when it is handed out: botocore holds on to a page while it fetches the next one.
    """
    with aws_call(operation):
        for page in ec2.get_paginator(operation).paginate(**arguments):  # type: ignore[call-overload]
            items = page.get(key, [])
            items.reverse()
            while items:
                yield items.pop()


def filters(name: str, *values: str) -> list[dict[str, Any]]:
    """`Filters` of one filter: any of `values`."""
    return [{"Name": name, "Values": list(values)}]
