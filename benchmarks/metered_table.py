"""A DynamoDB table that counts what on-demand capacity would be billed for each request.

Rules: DynamoDB Developer Guide, "read/write capacity" and "item sizes and formats". A read is a strongly consistent
one of 4 KB, a write is of 1 KB, a transaction costs twice that, and a refused condition costs as much as a write.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

Key = tuple[str, str]


class Meter:
    """read_units, write_units: billed. requests: by action. Refused conditional writes are in `refused` as well."""

    def __init__(self) -> None:
        self.read_units = self.write_units = self.refused = self.largest = 0
        self.requests: Counter[str] = Counter()
        self._sizes: dict[Key, int] = {}
        self._lock = threading.Lock()

    def reads(self, item: Mapping[str, Any] | None) -> None:
        with self._lock:
            self.requests["GetItem"] += 1
            self.read_units += math.ceil(self._note(item) / 4096) if item else 1

    def writes(self, action: str, *items: Mapping[str, Any], refused: bool = False) -> None:
        """`items` as far as they are known: whole, or the key of one that was read or written before."""
        times = 2 if action.startswith("Transact") else 1
        with self._lock:
            self.requests[action] += 1
            self.refused += refused
            self.write_units += times * sum(max(1, math.ceil(self._note(item) / 1024)) for item in items)

    def _note(self, item: Mapping[str, Any]) -> int:
        key = (str(item["pk"]), str(item["sk"]))
        if len(item) > len(key):
            self._sizes[key] = size_of(item)
        size_before = self._sizes.get(key, 0)
        self.largest = max(self.largest, size_before)
        return size_before


class MeteredTable:
    """What the adapters use of `mypy_boto3_dynamodb.service_resource.Table`, passed on and counted."""

    def __init__(self, table: Any, meter: Meter) -> None:
        self._table, self._meter = table, meter
        self.name, self.meta, self.client = table.name, self, self

    def get_item(self, **request: Any) -> Any:
        answer = self._table.get_item(**request)
        self._meter.reads(answer.get("Item"))
        return answer

    def put_item(self, **request: Any) -> Any:
        return self._write("PutItem", self._table.put_item, [request["Item"]], request)

    def update_item(self, **request: Any) -> Any:
        return self._write("UpdateItem", self._table.update_item, [request["Key"]], request)

    def transact_write_items(self, **request: Any) -> Any:
        changes = [change for write in request["TransactItems"] for change in write.values()]
        items = [change.get("Item") or change["Key"] for change in changes]
        call = self._table.meta.client.transact_write_items
        return self._write("TransactWriteItems", call, items, request)

    def _write(self, action: str, call: Any, items: list[Any], request: dict[str, Any]) -> Any:
        try:
            answer = call(**request)
        except ClientError:
            self._meter.writes(action, *items, refused=True)
            raise
        self._meter.writes(action, *([answer["Attributes"]] if "Attributes" in answer else items))
        return answer


def size_of(value: Any) -> int:
    """Bytes of an item or a value; a number counts as its digits, which is more than DynamoDB's."""
    if isinstance(value, Mapping):
        return sum(len(str(name).encode()) + size_of(one) for name, one in value.items())
    if isinstance(value, list | set | frozenset | tuple):
        return 3 + sum(1 + size_of(one) for one in value)
    return len(value) if isinstance(value, bytes) else len(str(value).encode())
