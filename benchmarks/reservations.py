"""How many blocks a second the ledger reserves when many ask at once, beside what the table itself can write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.stage import Stage
from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.clock import utc_now

THREADS = (1, 10, 50)
POOL = IPv4Network("100.64.0.0/10")
PREFIX = 22
_TABLE = "bench-ledger"


@dataclass(frozen=True)
class Rate:
    """Per second. transactions: TransactWriteItems for each reservation, 1.0 without contention."""

    threads: int
    reservations: float
    plain_writes: float
    transactions: float


def rates(stage: Stage, number: int) -> Iterator[Rate]:
    """`number`: reservations at each count of threads, each in an empty ledger of its own."""
    for threads in THREADS:
        table = make_table(stage, f"{_TABLE}-{threads}")
        ledger = Ledger(table, utc_now)
        stage.forget_calls()
        reserved = _per_second(threads, number, partial(_reserve, ledger))
        transactions = sum(call["action"] == "TransactWriteItems" for call in stage.calls())
        written = _per_second(threads, number, partial(_write, table))
        _check_disjoint(ledger, number)
        yield Rate(threads, reserved, written, transactions / number)


def _reserve(ledger: Ledger, index: int) -> None:
    ledger.reserve(f"owner-{index}", POOL, PREFIX)


def _write(table: Any, index: int) -> None:
    table.put_item(Item={"pk": f"plain-{index}", "sk": "X"})


def _per_second(threads: int, number: int, work: Callable[[int], None]) -> float:
    with ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        for done in [pool.submit(work, index) for index in range(number)]:
            done.result()
        return number / (time.perf_counter() - begun)


def _check_disjoint(ledger: Ledger, number: int) -> None:
    """A rate of wrong answers would be worth nothing."""
    blocks = {reservation.block for reservation in ledger.reserved(POOL)}
    if len(blocks) != number:
        raise RuntimeError(f"{number} reservations gave {len(blocks)} different blocks")


def make_table(stage: Stage, name: str) -> Any:
    """An empty table with the keys of those of the template."""
    resource: Any = boto3.resource(
        "dynamodb",
        endpoint_url=stage.servers.aws_url,
        region_name=stage.servers.session.region_name,
        aws_access_key_id=stage.servers.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=stage.servers.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(max_pool_connections=max(THREADS)),
    )
    keys = (("pk", "HASH"), ("sk", "RANGE"))
    return resource.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
    )
