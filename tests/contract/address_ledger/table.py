"""The ledger's table as it lies in DynamoDB, read item by item and held against what it must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import DynamoDBServiceResource, Table


def resource(url: str, attempts: int = 5) -> DynamoDBServiceResource:
    return boto3.resource(
        "dynamodb",
        endpoint_url=url,
        region_name="ap-northeast-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": attempts}, max_pool_connections=64),
    )


@dataclass(frozen=True)
class RawTable:
    table: Table

    @classmethod
    def create(cls, url: str, name: str) -> RawTable:
        keys = (("pk", "HASH"), ("sk", "RANGE"))
        table = resource(url).create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],  # type: ignore[typeddict-item]
        )
        return cls(table)

    def items(self) -> list[dict[str, Any]]:
        pages = self.table.meta.client.get_paginator("scan").paginate(TableName=self.table.name, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def blocks_by_owner(self, scope: str = "account") -> dict[str, IPv4Network]:
        """What the table holds, after proof that it is whole: no overlap, each owner's item beside its block's, every
        marker the true count of the reservations inside, and nothing else."""
        items = [item for item in self.items() if item.get("scope", scope) == scope]
        held_blocks = {item["sk"]: item for item in items if item["pk"] == f"BLOCKS#{scope}" and "held_by" in item}
        owners = {item["held_by"]: IPv4Network(item["cidr"]) for item in items if item["pk"].startswith("OWNER#")}
        markers = {item["sk"]: int(item["below"]) for item in items if "below" in item}
        blocks = sorted(IPv4Network(item["cidr"]) for item in held_blocks.values())

        assert all(lower.broadcast_address < upper.network_address for lower, upper in pairwise(blocks)), blocks
        assert {item["held_by"]: IPv4Network(item["cidr"]) for item in held_blocks.values()} == owners
        assert len(held_blocks) == len(owners)
        assert markers == Counter(_key(larger) for block in blocks for larger in _supernets(block))
        assert len(items) == len(held_blocks) + len(owners) + len(markers)
        return owners


def _supernets(block: IPv4Network) -> list[IPv4Network]:
    return [block.supernet(new_prefix=prefix) for prefix in range(16, block.prefixlen)]


def _key(block: IPv4Network) -> str:
    return ".".join(f"{int(octet):03}" for octet in str(block.network_address).split(".")) + f"/{block.prefixlen}"
