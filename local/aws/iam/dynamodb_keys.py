"""dynamodb:LeadingKeys, dynamodb:Attributes and dynamodb:ReturnValues of a request.

Source: "Using IAM policy conditions for fine-grained access control" (specifying-conditions.html of the Amazon DynamoDB
Developer Guide). LeadingKeys are the values of the partition key, Attributes the top-level names that a request reads
or writes, key attributes included. A Scan has no leading keys: ForAllValues lets it pass, as on AWS.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ministack.services import dynamodb

from local.aws.corrections.guard import original

EXPRESSIONS = (
    "ProjectionExpression",
    "UpdateExpression",
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
)
LEGACY = ("AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter")
# A path in an expression: a name or its placeholder, then steps that do not count. Values begin with a colon.
PATH = re.compile(r"(?<![:\w.#])([#A-Za-z_][\w]*)(?:\[\d+\])?(?:\.[#\w]+(?:\[\d+\])?)*\s*(\()?")
WORDS = frozenset({"set", "remove", "add", "delete", "and", "or", "not", "between", "in"})


def request_context(body: bytes) -> dict[str, Any]:
    """Condition keys of a request on one table, or of a batch; empty when the body is no JSON object."""
    request = _document(body)
    if "RequestItems" not in request:
        return item_context(request)
    parts = [item_context(part) for part in _batch(request["RequestItems"])]
    return {
        name: sorted({value for part in parts for value in part.get(name, [])})
        for name in ("dynamodb:LeadingKeys", "dynamodb:Attributes")
        if any(name in part for part in parts)
    }


def transaction_contexts(body: bytes) -> list[dict[str, Any]]:
    """Condition keys of each item of a transaction, in the order in which the gateway asks for them."""
    items = _document(body).get("TransactItems")
    members = ("ConditionCheck", "Put", "Update", "Delete", "Get")
    contexts: list[dict[str, Any]] = []
    for item in items if isinstance(items, list) else []:
        contexts.extend(item_context(item[member]) for member in members if isinstance(item.get(member), dict))
    return contexts


def item_context(request: dict[str, Any]) -> dict[str, Any]:
    """Condition keys of a request with a TableName; without one there are none."""
    if not isinstance(request.get("TableName"), str):
        return {}
    context: dict[str, Any] = {"dynamodb:ReturnValues": request.get("ReturnValues", "NONE")}
    leading = _leading_keys(request)
    if leading:
        context["dynamodb:LeadingKeys"] = leading
    attributes = _attributes(request)
    if attributes:
        context["dynamodb:Attributes"] = sorted(attributes)
    return context


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _batch(tables: Any) -> list[dict[str, Any]]:
    """The items of BatchGetItem and BatchWriteItem, each as a request of its own."""
    parts: list[dict[str, Any]] = []
    for table, wanted in tables.items() if isinstance(tables, dict) else ():
        if isinstance(wanted, dict):
            shared = {name: value for name, value in wanted.items() if name != "Keys"}
            parts += [{"TableName": table, "Key": key, **shared} for key in wanted.get("Keys", [])]
        for write in wanted if isinstance(wanted, list) else ():
            request = write.get("PutRequest") or write.get("DeleteRequest") or {}
            parts.append({"TableName": table, **request})
    return parts


def _partition_key(request: dict[str, Any]) -> str:
    """Name of the partition key of the request's table or index; "" for a table that does not exist."""
    name = request["TableName"].rpartition("/")[2]
    table = original(dynamodb, "_tables").get(name) or {}
    indexes = [*(table.get("GlobalSecondaryIndexes") or []), *(table.get("LocalSecondaryIndexes") or [])]
    named = (one for one in indexes if one.get("IndexName") == request.get("IndexName"))
    schema = (next(named, None) or table).get("KeySchema", [])
    return next((str(one["AttributeName"]) for one in schema if one["KeyType"] == "HASH"), "")


def _leading_keys(request: dict[str, Any]) -> list[str]:
    key = _partition_key(request)
    item = request.get("Key") or request.get("Item") or {}
    if key in item:
        return [_text(item[key])]
    conditions = request.get("KeyConditions") or {}
    if key in conditions:
        return [_text(value) for value in conditions[key].get("AttributeValueList", [])]
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}
    for name, placeholder in re.findall(r"([#\w]+)\s*=\s*(:\w+)", request.get("KeyConditionExpression") or ""):
        if names.get(name, name) == key and placeholder in values:
            return [_text(values[placeholder])]
    return []


def _text(value: Any) -> str:
    """An attribute value as policies compare it: {"S": "a"} is "a"."""
    return str(next(iter(value.values()))) if isinstance(value, dict) and value else ""


def _attributes(request: dict[str, Any]) -> set[str]:
    top_names = {*(request.get("Key") or {}), *(request.get("Item") or {}), *(request.get("AttributesToGet") or [])}
    for field in LEGACY:
        top_names.update(request.get(field) or {})
    names = request.get("ExpressionAttributeNames") or {}
    for field in EXPRESSIONS:
        for name, call in PATH.findall(request.get(field) or ""):
            if not call and name.lower() not in WORDS:
                top_names.add(str(names.get(name, name)))
    return top_names
