"""A thin layer over one DynamoDB table with keys `pk` and `sk`: plain Python values, errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

from ip_remediator.adapters.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

Item = dict[str, Any]


class ConditionFailed(Exception):
    """A conditional write found something else than it expected, and wrote nothing."""


class Records:
    """All methods raise the errors of `adapters.errors`; conditional writes also `ConditionFailed`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.name = table.name

    def get(self, pk: str, sk: str) -> Item | None:
        with aws_call(f"GetItem {self.name}"):
            item = self._table.get_item(Key={"pk": pk, "sk": sk}, ConsistentRead=True).get("Item")
        return dict(item) if item else None

    def query(self, pk: str, prefix: str) -> Iterator[Item]:
        """The items of `pk` whose `sk` begins with `prefix`, in order, page by page."""
        arguments: dict[str, Any] = {
            "KeyConditionExpression": Key("pk").eq(pk) & Key("sk").begins_with(prefix),
            "ConsistentRead": True,
        }
        while True:
            with aws_call(f"Query {self.name}"):
                page = self._table.query(**arguments)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(self, item: Item, condition: str | None = None, values: Item | None = None) -> None:
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
        try:
            with aws_call(f"UpdateItem {self.name}"):
                answer = self._table.update_item(
                    Key=key,
                    UpdateExpression=expression,
                    ExpressionAttributeValues=values,
                    ReturnValues="ALL_NEW",
                    **arguments,
                )
        except Exception as error:
            raise _condition_failed(error) from error
        return dict(answer["Attributes"])

    def transact(self, writes: list[Item]) -> None:
        """All of the writes or none; a single put goes as the cheaper PutItem."""
        try:
            with aws_call(f"TransactWriteItems {self.name}"):
                if len(writes) == 1 and "Put" in writes[0]:
                    self._table.put_item(**{k: v for k, v in writes[0]["Put"].items() if k != "TableName"})
                else:
                    self._table.meta.client.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
        except Exception as error:
            raise _condition_failed(error) from error

    def putting(self, item: Item, condition: str | None = None, values: Item | None = None) -> Item:
        """A Put for `transact`."""
        put: Item = {"TableName": self.name, "Item": item}
        if condition:
            put["ConditionExpression"] = condition
        if values:
            put["ExpressionAttributeValues"] = values
        return {"Put": put}

    def setting(self, key: Item, attributes: Item, condition: str = "attribute_exists(pk)") -> Item:
        """An Update for `transact` that sets `attributes`; a dotted name reaches into a map."""
        names: dict[str, str] = {}
        values: Item = {}
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
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        return {"Update": update}

    def deleting(self, key: Item) -> Item:
        """A Delete for `transact`; deleting what is not there is fine."""
        return {"Delete": {"TableName": self.name, "Key": key}}


def _condition_failed(error: Exception) -> Exception:
    """`ConditionFailed` when that is what AWS's answer says, else the error itself."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return error
    code = cause.response["Error"]["Code"]
    reasons = cause.response.get("CancellationReasons", [])
    failed = code == "ConditionalCheckFailedException" or any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )
    return ConditionFailed(str(cause)) if failed else error
