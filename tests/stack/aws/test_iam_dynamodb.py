"""IAM and DynamoDB: policies on partition keys and attributes (fine-grained access control)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import allow, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

DENIED = "AccessDeniedException"
ACTIONS = [f"dynamodb:{verb}" for verb in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan")]
ACTIONS += ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem"]


@pytest.fixture
def table(aws: LocalAws) -> str:
    name = unique("table")
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def key(pk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": "x"}}


CALLS: dict[str, Callable[[Any, str, str], Any]] = {
    "get": lambda db, table, pk: db.get_item(TableName=table, Key=key(pk)),
    "put": lambda db, table, pk: db.put_item(TableName=table, Item=key(pk)),
    "delete": lambda db, table, pk: db.delete_item(TableName=table, Key=key(pk)),
    "query": lambda db, table, pk: db.query(
        TableName=table,
        KeyConditionExpression="#k = :v AND begins_with(sk, :s)",
        ExpressionAttributeNames={"#k": "pk"},
        ExpressionAttributeValues={":v": {"S": pk}, ":s": {"S": "x"}},
    ),
    "batch-get": lambda db, table, pk: db.batch_get_item(RequestItems={table: {"Keys": [key("CLICK#1"), key(pk)]}}),
    "batch-write": lambda db, table, pk: db.batch_write_item(
        RequestItems={table: [{"PutRequest": {"Item": key("CLICK#1")}}, {"DeleteRequest": {"Key": key(pk)}}]}
    ),
    "transaction": lambda db, table, pk: db.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": table, "Item": key("CLICK#1")}},
            {"Delete": {"TableName": table, "Key": key(pk)}},
        ]
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_given_leading_keys_when_an_item_has_another_partition_key_then_denied(caller: Any, table: str, call: str):
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CLICK#*"]}}
    db = caller(allow(*ACTIONS, **condition), service="dynamodb")
    assert code_of(CALLS[call], db, table, "INCIDENT#1") == DENIED
    assert code_of(CALLS[call], db, table, "CLICK#2") == ""


def test_given_leading_keys_when_scanned_then_only_a_null_check_denies_it(caller: Any, table: str):
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CLICK#*"]}}
    loose = caller(allow(*ACTIONS, **condition), service="dynamodb")
    tight = caller(allow(*ACTIONS, **condition, Null={"dynamodb:LeadingKeys": "false"}), service="dynamodb")
    assert code_of(loose.scan, TableName=table) == ""
    assert code_of(tight.scan, TableName=table) == DENIED


@pytest.mark.parametrize(
    ("expression", "names", "code"),
    [
        ("SET answer = :v", {}, ""),
        ("SET #a = :v", {"#a": "answer"}, ""),
        ("SET #a = if_not_exists(answer, :v)", {"#a": "answer"}, ""),
        ("SET answer.#p = :v", {"#p": "plan"}, "ValidationException"),
        ("SET answer = :v, #p = :v", {"#p": "plan"}, DENIED),
        ("SET #p.answer = :v", {"#p": "plan"}, DENIED),
        ("SET answer = :v REMOVE plan", {}, DENIED),
    ],
)
def test_given_attributes_when_an_update_names_another_then_denied(
    caller: Any, table: str, expression: str, names: dict[str, str], code: str
):
    condition = {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "sk", "answer"]}}
    db = caller(allow(*ACTIONS, **condition), service="dynamodb")
    wanted = {"TableName": table, "Key": key("CLICK#1"), "UpdateExpression": expression}
    named = {"ExpressionAttributeNames": names} if names else {}
    assert code_of(db.update_item, **wanted, **named, ExpressionAttributeValues={":v": {"S": "yes"}}) == code


def test_given_attributes_when_an_item_is_put_then_all_its_names_count(caller: Any, table: str):
    condition = {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "sk", "answer"]}}
    db = caller(allow(*ACTIONS, **condition), service="dynamodb")
    assert code_of(db.put_item, TableName=table, Item={**key("a"), "answer": {"S": "x"}}) == ""
    assert code_of(db.put_item, TableName=table, Item={**key("a"), "plan": {"S": "x"}}) == DENIED
