"""The layer over one table: conditions, pages, dotted names, and DynamoDB's errors as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Records
from ip_remediator.common.errors import PermissionDenied, RequestRefused, ServiceUnavailable, Throttled
from tests.contract.address_ledger import fault_proxy
from tests.contract.conftest import resource, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


@pytest.fixture
def records(table: Table) -> Records:
    return Records(table)


@pytest.fixture
def pk() -> str:
    return unique("pk")


def test_given_an_item_then_it_is_found_by_its_key(records: Records, pk: str) -> None:
    assert records.get(pk, "a") is None
    records.put({"pk": pk, "sk": "a", "colour": "red"})
    assert records.get(pk, "a") == {"pk": pk, "sk": "a", "colour": "red"}


def test_given_more_than_a_page_then_a_query_yields_all_in_order(records: Records, pk: str) -> None:
    # DynamoDB's page is 1 MB.
    for number in range(4):
        records.put({"pk": pk, "sk": f"EVENT#{number}", "body": "x" * 350_000})
    records.put({"pk": pk, "sk": "META"})
    assert [item["sk"] for item in records.query(pk, "EVENT#")] == [f"EVENT#{number}" for number in range(4)]


def test_given_a_condition_that_fails_then_the_put_writes_nothing(records: Records, pk: str) -> None:
    records.put({"pk": pk, "sk": "a", "colour": "red"}, "attribute_not_exists(pk)")
    with pytest.raises(ConditionFailed):
        records.put({"pk": pk, "sk": "a", "colour": "blue"}, "attribute_not_exists(pk)")
    assert (records.get(pk, "a") or {})["colour"] == "red"


def test_given_a_condition_that_fails_then_none_of_a_transactions_writes_happens(records: Records, pk: str) -> None:
    records.put({"pk": pk, "sk": "a"})
    with pytest.raises(ConditionFailed):
        records.transact(
            [
                records.putting({"pk": pk, "sk": "b"}),
                records.putting({"pk": pk, "sk": "a"}, "attribute_not_exists(pk)"),
            ]
        )
    assert records.get(pk, "b") is None


def test_given_a_dotted_name_then_setting_reaches_into_the_map(records: Records, pk: str) -> None:
    records.put({"pk": pk, "sk": "a", "steps": {"plan": "running"}})
    records.transact([records.setting({"pk": pk, "sk": "a"}, {"steps.diagnose": "done", "owner": "ada"})])
    assert records.get(pk, "a") == {
        "pk": pk,
        "sk": "a",
        "steps": {"plan": "running", "diagnose": "done"},
        "owner": "ada",
    }


def test_given_no_item_then_setting_makes_none(records: Records, pk: str) -> None:
    with pytest.raises(ConditionFailed):
        records.transact([records.setting({"pk": pk, "sk": "a"}, {"owner": "ada"})])
    assert records.get(pk, "a") is None


def test_given_an_update_then_the_item_after_it_is_returned(records: Records, pk: str) -> None:
    key = {"pk": pk, "sk": "a"}
    records.put({**key, "count": 1})
    after = records.update(key, "SET #count = #count + :one", {":one": 1}, names={"#count": "count"})
    assert after["count"] == 2
    with pytest.raises(ConditionFailed):
        records.update(key, "SET colour = :red", {":red": "red"}, "attribute_exists(colour)")


def test_given_nothing_there_then_deleting_is_fine(records: Records, pk: str) -> None:
    records.put({"pk": pk, "sk": "a"})
    records.transact([records.deleting({"pk": pk, "sk": "a"}), records.deleting({"pk": pk, "sk": "b"})])
    assert records.get(pk, "a") is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ProvisionedThroughputExceededException", Throttled),
        ("ThrottlingException", Throttled),
        ("InternalServerError", ServiceUnavailable),
        ("AccessDeniedException", PermissionDenied),
        ("ValidationException", RequestRefused),
    ],
)
def test_given_an_error_of_dynamodb_then_its_class_tells_what_to_do(
    records: Records, faults: LocalAws, pk: str, code: str, kind: type[Exception]
) -> None:
    faults.inject("dynamodb", "PutItem", error=code)
    with pytest.raises(kind, match=f"PutItem {records.name}: {code}"):
        records.put({"pk": pk, "sk": "a"})


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (("None", "ThrottlingError"), Throttled),
        (("ProvisionedThroughputExceeded", "None"), Throttled),
        (("ConditionalCheckFailed", "TransactionConflict"), ConditionFailed),
        (("ValidationError", "None"), RequestRefused),
    ],
)
def test_given_a_cancelled_transaction_then_its_reasons_tell_what_to_do(
    table: Table, aws: LocalAws, pk: str, reasons: tuple[str, ...], kind: type[Exception]
) -> None:
    with fault_proxy.running(aws.endpoint) as proxy:
        records = Records(resource(proxy.url, aws).Table(table.name))
        proxy.inject("TransactWriteItems", fault_proxy.Refuse("TransactionCanceledException", reasons))
        with pytest.raises(kind):
            records.transact([records.putting({"pk": pk, "sk": sk}) for sk in ("a", "b")])
        assert records.get(pk, "a") is None


def test_given_nobody_answers_then_it_counts_as_unavailable(table: Table, aws: LocalAws) -> None:
    with fault_proxy.running(aws.endpoint) as proxy:
        records = Records(resource(proxy.url, aws).Table(table.name))
        proxy.inject("GetItem", fault_proxy.LoseRequest())
        with pytest.raises(ServiceUnavailable, match="GetItem"):
            records.get("pk", "sk")
