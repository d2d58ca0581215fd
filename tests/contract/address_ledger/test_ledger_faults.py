"""The ledger when requests, answers or races are lost: one reservation or none, and true errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Network
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from ip_remediator.address_ledger.ledger import BlockTaken, Ledger, LedgerContention
from ip_remediator.common.errors import PermissionDenied, RequestRefused, ServiceUnavailable, Throttled
from tests.contract.address_ledger.fault_proxy import LoseAnswer, LoseRequest, Meanwhile, Refuse
from tests.contract.address_ledger.table import resource

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from tests.contract.address_ledger.fault_proxy import FaultProxy
    from tests.contract.address_ledger.table import RawTable

CGNAT = IPv4Network("100.64.0.0/10")
FIRST_20 = IPv4Network("100.64.0.0/20")
WRITE = "TransactWriteItems"
CONFLICT = Refuse("TransactionCanceledException", ("None", "TransactionConflict", "None"))
THROTTLED = Refuse("TransactionCanceledException", ("ThrottlingError", "None", "None"))


def test_a_reservation_takes_one_consistent_read_and_one_write(impatient: Ledger, proxy: FaultProxy) -> None:
    impatient.reserve("inc-1", CGNAT, 20)

    assert proxy.operations() == ["Query", WRITE]
    assert proxy.calls[0][1]["ConsistentRead"] is True


def test_a_release_takes_two_reads_and_one_write(ledger: Ledger, impatient: Ledger, proxy: FaultProxy) -> None:
    ledger.reserve("inc-1", CGNAT, 20)

    impatient.release("inc-1")

    assert proxy.operations() == ["GetItem", "TransactGetItems", WRITE]
    assert proxy.calls[0][1]["ConsistentRead"] is True


# -- lost requests and answers ---------------------------------------------------------------------


@pytest.mark.parametrize("fault", [LoseRequest(), LoseAnswer()])
def test_boto3_repeats_a_lost_transaction_under_one_token_and_it_counts_once(
    proxy: FaultProxy, table: Table, raw: RawTable, fault: LoseRequest | LoseAnswer
) -> None:
    patient = Ledger(resource(proxy.url).Table(table.name), lambda: datetime.now(UTC))
    proxy.inject(WRITE, fault)

    block = patient.reserve("inc-1", CGNAT, 20)

    tokens = [body["ClientRequestToken"] for operation, body in proxy.calls if operation == WRITE]
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    assert raw.blocks_by_owner() == {"inc-1": block}


@pytest.mark.parametrize("fault", [LoseRequest(), LoseAnswer()])
def test_a_reservation_lost_for_good_is_found_or_made_by_the_next_call(
    impatient: Ledger, proxy: FaultProxy, raw: RawTable, fault: LoseRequest | LoseAnswer
) -> None:
    proxy.inject(WRITE, fault)
    with pytest.raises(ServiceUnavailable):
        impatient.reserve("inc-1", CGNAT, 20)

    assert impatient.reserve("inc-1", CGNAT, 20) == FIRST_20
    assert raw.blocks_by_owner() == {"inc-1": FIRST_20}


@pytest.mark.parametrize(("fault", "left_to_do"), [(LoseRequest(), True), (LoseAnswer(), False)])
def test_a_release_lost_for_good_is_completed_by_the_next_call(
    impatient: Ledger, proxy: FaultProxy, raw: RawTable, fault: LoseRequest | LoseAnswer, left_to_do: bool
) -> None:
    impatient.reserve("inc-1", CGNAT, 20)
    proxy.inject(WRITE, fault)
    with pytest.raises(ServiceUnavailable):
        impatient.release("inc-1")

    assert impatient.release("inc-1") is left_to_do
    assert raw.items() == []


# -- lost races: DynamoDB itself refuses the condition ---------------------------------------------


@pytest.mark.parametrize("rival", ["100.64.0.0/20", "100.64.0.0/16", "100.64.0.0/28"])
def test_a_block_taken_between_read_and_write_is_left_to_the_rival(
    impatient: Ledger, ledger: Ledger, proxy: FaultProxy, raw: RawTable, rival: str
) -> None:
    proxy.inject(WRITE, Meanwhile(lambda: ledger.reserve_exactly("rival", IPv4Network(rival))))

    mine = impatient.reserve("inc-1", CGNAT, 20)

    assert raw.blocks_by_owner() == {"rival": IPv4Network(rival), "inc-1": mine}
    assert proxy.operations() == ["Query", WRITE, "Query", WRITE]


def test_a_chosen_block_lost_to_a_rival_is_taken(impatient: Ledger, ledger: Ledger, proxy: FaultProxy) -> None:
    proxy.inject(WRITE, Meanwhile(lambda: ledger.reserve_exactly("rival", FIRST_20)))

    with pytest.raises(BlockTaken, match=r"reserved 100\.64\.0\.0/20 by rival"):
        impatient.reserve_exactly("inc-1", FIRST_20)


def test_a_twin_that_reserved_first_decides_the_block(
    impatient: Ledger, ledger: Ledger, proxy: FaultProxy, raw: RawTable
) -> None:
    chosen = IPv4Network("100.90.0.0/24")
    proxy.inject(WRITE, Meanwhile(lambda: ledger.reserve_exactly("inc-1", chosen)))

    assert impatient.reserve("inc-1", CGNAT, 20) == chosen
    assert raw.blocks_by_owner() == {"inc-1": chosen}


@pytest.mark.parametrize("moment", ["TransactGetItems", WRITE])
def test_a_twin_that_released_first_is_no_error(
    impatient: Ledger, ledger: Ledger, proxy: FaultProxy, raw: RawTable, moment: str
) -> None:
    ledger.reserve("inc-1", CGNAT, 20)
    proxy.inject(moment, Meanwhile(lambda: ledger.release("inc-1")))

    assert impatient.release("inc-1")
    assert raw.items() == []


@pytest.mark.parametrize("neighbours_before", [1, 2])
def test_markers_stay_true_when_neighbours_come_and_go_during_a_release(
    impatient: Ledger, ledger: Ledger, proxy: FaultProxy, raw: RawTable, neighbours_before: int
) -> None:
    ledger.reserve("inc-1", CGNAT, 20)
    if neighbours_before == 2:
        ledger.reserve("neighbour", CGNAT, 20)
        proxy.inject(WRITE, Meanwhile(lambda: ledger.release("neighbour")))
    else:
        proxy.inject(WRITE, Meanwhile(lambda: ledger.reserve("neighbour", CGNAT, 20)))

    assert impatient.release("inc-1")
    assert set(raw.blocks_by_owner()) == ({"neighbour"} if neighbours_before == 1 else set())


# -- what DynamoDB answers under load --------------------------------------------------------------


@pytest.mark.parametrize("refusal", [CONFLICT, THROTTLED])
def test_a_conflict_or_throttling_inside_a_transaction_is_tried_again(
    impatient: Ledger, proxy: FaultProxy, raw: RawTable, refusal: Refuse
) -> None:
    proxy.inject(WRITE, refusal, refusal, refusal)

    block = impatient.reserve("inc-1", CGNAT, 20)

    assert raw.blocks_by_owner() == {"inc-1": block}


@pytest.mark.parametrize("operation", ["TransactGetItems", WRITE])
def test_a_conflict_during_a_release_is_tried_again(
    ledger: Ledger, impatient: Ledger, proxy: FaultProxy, raw: RawTable, operation: str
) -> None:
    ledger.reserve("inc-1", CGNAT, 20)
    proxy.inject(operation, CONFLICT, CONFLICT)

    assert impatient.release("inc-1")
    assert raw.items() == []


def test_twenty_owners_in_one_slash_16_come_and_go_although_their_transactions_conflict(
    proxy: FaultProxy, table: Table, raw: RawTable
) -> None:
    proxy.conflict_as_dynamodb_does()
    ledger = Ledger(resource(proxy.url).Table(table.name), lambda: datetime.now(UTC))
    owners = [f"inc-{number}" for number in range(20)]
    together = Barrier(len(owners))

    def come(owner: str) -> IPv4Network:
        together.wait()
        return ledger.reserve(owner, IPv4Network("100.64.0.0/16"), 24)

    def go(owner: str) -> bool:
        together.wait()
        return ledger.release(owner)

    with ThreadPoolExecutor(len(owners)) as threads:
        blocks = list(threads.map(come, owners))
        assert raw.blocks_by_owner() == dict(zip(owners, blocks, strict=True))
        assert all(threads.map(go, owners))
    assert raw.items() == []


def test_contention_without_end_is_given_up_after_a_dozen_tries_and_a_few_seconds(
    proxy: FaultProxy, table: Table, raw: RawTable
) -> None:
    pauses: list[float] = []
    ledger = Ledger(resource(proxy.url, attempts=1).Table(table.name), lambda: datetime.now(UTC), pauses.append)
    proxy.inject(WRITE, *[CONFLICT] * 20)

    with pytest.raises(LedgerContention, match=r"could not reserve 100\..*\(TransactionConflict\)"):
        ledger.reserve("inc-1", CGNAT, 20)

    assert proxy.operations().count(WRITE) == 12
    assert len(pauses) == 11
    assert all(0 <= pause <= 1 for pause in pauses)
    assert pauses[0] <= 0.05
    assert raw.items() == []


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refuse("TransactionCanceledException", ("None", "ValidationError", "None")), RequestRefused),
        (Refuse("TransactionCanceledException", ("ConditionalCheckFailed", "ValidationError", "None")), RequestRefused),
        (Refuse("AccessDeniedException"), PermissionDenied),
        (Refuse("ProvisionedThroughputExceededException"), Throttled),
    ],
)
def test_what_another_try_cannot_cure_is_raised_at_once_as_what_it_is(
    impatient: Ledger, proxy: FaultProxy, raw: RawTable, refusal: Refuse, error: type[Exception]
) -> None:
    proxy.inject(WRITE, refusal)

    with pytest.raises(error, match=r"Ledger, reserve 100\.64\.0\.0/20"):
        impatient.reserve("inc-1", CGNAT, 20)

    assert proxy.operations().count(WRITE) == 1
    assert raw.items() == []
