"""A thin layer over one DynamoDB table with keys `pk` and `sk`: plain Python values, errors of `common.errors`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ip_remediator.clients.aws.errors import aws_call, cancellation_reasons
from ip_remediator.common.errors import RequestRefused, ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Item = dict[str, Any]
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds, the longest each
_RANDOM = random.SystemRandom()


class ConditionFailed(Exception):
    """The condition of a write was not met; nothing was written."""


class Records:
    """All methods raise the errors of `common.errors`; conditional writes also `ConditionFailed`."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._client = table.meta.client
        self.name = table.name

    def get(self, pk: str, sk: str) -> Item | None:
        """The item, read consistently, or None. Raises the errors of `common.errors`."""
        with aws_call(f"GetItem {self.name}"):
            answer = self._client.get_item(TableName=self.name, Key={"pk": pk, "sk": sk}, ConsistentRead=True)
        item = answer.get("Item")
        return dict(item) if item else None

    def query(self, pk: str, prefix: str) -> Iterator[Item]:
        """The items of `pk` whose `sk` begins with `prefix`, in order, page by page."""
        # In words: boto3 shares its builder of conditions among threads (TransformationInjector of
        # boto3/dynamodb/transform.py).
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":pk": pk, ":prefix": prefix},
            "ConsistentRead": True,
        }
        while True:
            with aws_call(f"Query {self.name}"):
                page = self._client.query(**arguments)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(self, item: Item, condition: str | None = None, values: Item | None = None) -> None:
        """Writes the item if `condition` holds."""
        self.transact([self.putting(item, condition, values)])

    def update(
        self,
        key: Item,
        expression: str,
        values: Item,
        condition: str | None = None,
        names: dict[str, str] | None = None,
    ) -> Item:
        """One UpdateItem; returns the item as it is afterwards."""
        arguments: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        if names:
            arguments["ExpressionAttributeNames"] = names
        answer = self._write(
            "UpdateItem",
            self._client.update_item,
            TableName=self.name,
            Key=key,
            UpdateExpression=expression,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
            **arguments,
        )
        return dict(answer["Attributes"])

    def transact(self, writes: list[Item]) -> None:
        """All of the writes or none; a single put goes as the cheaper PutItem."""
        if len(writes) == 1 and "Put" in writes[0]:
            self._write("PutItem", self._client.put_item, **writes[0]["Put"])
        else:
            self._write("TransactWriteItems", self._client.transact_write_items, TransactItems=writes)

    def _write(self, action: str, call: Callable[..., Any], **arguments: Any) -> Any:
        """One write, retried while DynamoDB cancels it because another transaction touches its items."""
        for longest in (*_PAUSES, None):
            try:
                with aws_call(f"{action} {self.name}"):
                    return call(**arguments)
            except (RequestRefused, ServiceUnavailable) as error:
                if _condition_failed(error.__cause__):
                    raise ConditionFailed(str(error)) from error.__cause__
                if longest is None or not _met_another(error.__cause__):
                    raise
                time.sleep(_RANDOM.uniform(0, longest))
        return None

    def putting(self, item: Item, condition: str | None = None, values: Item | None = None) -> Item:
        """A Put for `transact`."""
        put: Item = {"TableName": self.name, "Item": item}
        if condition:
            put["ConditionExpression"] = condition
        if values:
            put["ExpressionAttributeValues"] = values
        return {"Put": put}

    def setting(
        self,
        key: Item,
        attributes: Item,
        condition: str | None = "attribute_exists(pk)",
        condition_values: Item | None = None,
        condition_names: dict[str, str] | None = None,
    ) -> Item:
        """An Update for `transact` that sets `attributes`; a dotted name reaches into a map."""
        names: dict[str, str] = {**(condition_names or {})}
        values: Item = {**(condition_values or {})}
        parts = []
        for index, (path, value) in enumerate(attributes.items()):
            placeholders = []
            for depth, part in enumerate(path.split(".")):
                placeholders.append(f"#a{index}_{depth}")
                names[placeholders[-1]] = part
            parts.append(f"{'.'.join(placeholders)} = :v{index}")
            values[f":v{index}"] = value
        update = {
            "TableName": self.name,
            "Key": key,
            "UpdateExpression": "SET " + ", ".join(parts),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        return {"Update": update | ({"ConditionExpression": condition} if condition else {})}

    def checking(self, key: Item, condition: str, values: Item, names: dict[str, str] | None = None) -> Item:
        """A ConditionCheck for `transact`: all of its writes, or none when the condition does not hold."""
        check: Item = {
            "TableName": self.name,
            "Key": key,
            "ConditionExpression": condition,
        }
        check |= {"ExpressionAttributeValues": values} if values else {}
        return {"ConditionCheck": check | ({"ExpressionAttributeNames": names} if names else {})}

    def deleting(self, key: Item) -> Item:
        """A Delete for `transact`; deleting what is not there is fine."""
        return {"Delete": {"TableName": self.name, "Key": key}}


def _condition_failed(cause: BaseException | None) -> bool:
    if not isinstance(cause, ClientError):
        return False
    reasons = cause.response.get("CancellationReasons", [])
    return _code(cause) == "ConditionalCheckFailedException" or any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )


def _met_another(cause: BaseException | None) -> bool:
    if not isinstance(cause, ClientError):
        return False
    return _code(cause) == "TransactionConflictException" or "TransactionConflict" in cancellation_reasons(cause)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
