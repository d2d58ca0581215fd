"""What the ledger promises, against a DynamoDB API over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Network
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from ip_remediator.address_ledger.ledger import BlockTaken, Ledger, PoolExhausted, Reservation

if TYPE_CHECKING:
    from tests.contract.address_ledger.table import RawTable

CGNAT = IPv4Network("100.64.0.0/10")
SMALL_POOL = IPv4Network("100.64.0.0/16")


def test_the_first_reservation_gets_the_lowest_block(ledger: Ledger) -> None:
    assert ledger.reserve("inc-1", CGNAT, 20) == IPv4Network("100.64.0.0/20")


def test_blocks_of_all_sizes_are_packed_without_overlap(ledger: Ledger, raw: RawTable) -> None:
    blocks = [ledger.reserve(f"inc-{prefix}", CGNAT, prefix) for prefix in (28, 16, 20, 24, 27)]

    assert [str(block) for block in blocks] == [
        "100.64.0.0/28",
        "100.65.0.0/16",
        "100.64.16.0/20",
        "100.64.1.0/24",
        "100.64.0.32/27",
    ]
    assert set(raw.blocks_by_owner().values()) == set(blocks)


def test_taken_ranges_are_skipped_whether_larger_or_smaller_than_the_block(ledger: Ledger) -> None:
    taken = [IPv4Network("100.64.0.0/12"), IPv4Network("100.80.0.7/32"), IPv4Network("10.0.0.0/8")]

    assert ledger.reserve("inc-1", CGNAT, 20, taken) == IPv4Network("100.80.16.0/20")


def test_an_owner_who_asks_again_gets_the_block_it_holds(ledger: Ledger, raw: RawTable) -> None:
    first = ledger.reserve("inc-1", CGNAT, 20)

    assert ledger.reserve("inc-1", CGNAT, 20) == first
    assert ledger.reserve("inc-1", IPv4Network("100.96.0.0/11"), 18, scope="vpc-1") == first
    assert raw.blocks_by_owner() == {"inc-1": first}


def test_an_owner_whose_block_fills_the_pool_still_gets_it_when_it_asks_again(ledger: Ledger) -> None:
    ledger.reserve("inc-1", SMALL_POOL, 16)

    assert ledger.reserve("inc-1", SMALL_POOL, 16) == SMALL_POOL


def test_one_owner_asking_many_times_at_once_gets_one_block(ledger: Ledger, raw: RawTable) -> None:
    together = Barrier(8)

    def ask(_: int) -> IPv4Network:
        together.wait()
        return ledger.reserve("inc-1", CGNAT, 20)

    with ThreadPoolExecutor(8) as pool:
        blocks = set(pool.map(ask, range(8)))

    assert len(blocks) == 1
    assert raw.blocks_by_owner() == {"inc-1": blocks.pop()}


def test_fifty_owners_reserving_at_once_all_get_blocks_that_do_not_overlap(ledger: Ledger, raw: RawTable) -> None:
    together = Barrier(50)

    def ask(number: int) -> IPv4Network:
        together.wait()
        return ledger.reserve(f"inc-{number}", CGNAT, 17 + number % 8)

    with ThreadPoolExecutor(50) as pool:
        blocks = list(pool.map(ask, range(50)))

    assert raw.blocks_by_owner() == {f"inc-{number}": block for number, block in enumerate(blocks)}


def test_a_crowd_that_fits_exactly_fills_the_pool_and_releases_it_again(ledger: Ledger, raw: RawTable) -> None:
    owners = [f"inc-{number}" for number in range(16)]
    together = Barrier(16)

    def ask(owner: str) -> IPv4Network:
        together.wait()
        return ledger.reserve(owner, SMALL_POOL, 20)

    def give_back(owner: str) -> bool:
        together.wait()
        return ledger.release(owner)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, owners)) == set(SMALL_POOL.subnets(new_prefix=20))
        assert all(pool.map(give_back, owners))
    assert raw.items() == []


def test_an_exhausted_pool_says_what_fills_it(ledger: Ledger) -> None:
    ledger.reserve("inc-1", SMALL_POOL, 17)
    ledger.reserve("inc-2", SMALL_POOL, 28)
    taken = [IPv4Network("100.64.192.0/18"), IPv4Network("10.0.0.0/8")]

    with pytest.raises(PoolExhausted) as caught:
        ledger.reserve("inc-3", SMALL_POOL, 18, taken)

    assert str(caught.value) == (
        "no free /18 in 100.64.0.0/16: reserved 100.64.0.0/17 by inc-1, 100.64.128.0/28 by inc-2; "
        "excluded 100.64.192.0/18"
    )


def test_the_words_about_a_full_pool_name_the_largest_blocks_and_count_the_rest(ledger: Ledger) -> None:
    pool = IPv4Network("100.64.0.0/21")
    for number in range(8):
        ledger.reserve(f"inc-{number}", pool, 24)

    with pytest.raises(PoolExhausted, match=r"100\.64\.4\.0/24 by inc-4 and 3 more; excluded nothing$"):
        ledger.reserve("late", pool, 28)


def test_a_pool_smaller_than_the_block_is_exhausted(ledger: Ledger) -> None:
    with pytest.raises(PoolExhausted, match=r"no free /20 in 100\.64\.0\.0/24: the pool is smaller than that"):
        ledger.reserve("inc-1", IPv4Network("100.64.0.0/24"), 20)


@pytest.mark.parametrize("prefix", [15, 29])
def test_a_size_that_aws_does_not_take_is_refused(ledger: Ledger, raw: RawTable, prefix: int) -> None:
    with pytest.raises(ValueError, match=f"prefix is {prefix}: AWS takes blocks of /16 to /28"):
        ledger.reserve("inc-1", CGNAT, prefix)
    assert raw.items() == []


def test_an_empty_owner_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="owner is empty"):
        ledger.reserve("", CGNAT, 20)


# -- a block chosen by the operator ----------------------------------------------------------------


def test_a_chosen_block_is_reserved_and_asking_again_changes_nothing(ledger: Ledger, raw: RawTable) -> None:
    chosen = IPv4Network("100.70.16.0/20")

    assert ledger.reserve_exactly("inc-1", chosen) == chosen
    assert ledger.reserve_exactly("inc-1", chosen) == chosen
    assert raw.blocks_by_owner() == {"inc-1": chosen}


@pytest.mark.parametrize("present", ["100.70.16.0/20", "100.70.0.0/16", "100.70.31.240/28"])
def test_a_chosen_block_that_equals_or_lies_in_or_contains_another_is_taken(
    ledger: Ledger, raw: RawTable, present: str
) -> None:
    ledger.reserve_exactly("inc-1", IPv4Network(present))

    with pytest.raises(BlockTaken, match=f"100.70.16.0/20 cannot be reserved for inc-2: reserved {present} by inc-1"):
        ledger.reserve_exactly("inc-2", IPv4Network("100.70.16.0/20"))
    assert raw.blocks_by_owner() == {"inc-1": IPv4Network(present)}


def test_an_owner_cannot_choose_a_second_block(ledger: Ledger) -> None:
    ledger.reserve_exactly("inc-1", IPv4Network("100.70.16.0/20"))

    with pytest.raises(BlockTaken, match=r"inc-1 holds 100\.70\.16\.0/20 already: release it before reserving 100\.71"):
        ledger.reserve_exactly("inc-1", IPv4Network("100.71.0.0/20"))


# -- reading ---------------------------------------------------------------------------------------


def test_a_reservation_is_found_by_its_owner_with_time_and_detail(ledger: Ledger) -> None:
    block = ledger.reserve("inc-1", CGNAT, 20, detail={"cluster": "prod", "vpc": "vpc-1"})

    assert ledger.reservation_of("inc-1") == Reservation(
        block, "inc-1", "account", datetime(2026, 3, 1, 12, 0, tzinfo=UTC), {"cluster": "prod", "vpc": "vpc-1"}
    )
    assert ledger.reservation_of("inc-2") is None


def test_the_reservations_of_a_pool_are_those_that_overlap_it_in_order_of_address(ledger: Ledger) -> None:
    for owner, block in {
        "inside": "100.64.20.0/24",
        "containing": "100.64.64.0/18",
        "other /16": "100.65.0.0/20",
        "below": "100.63.0.0/16",
    }.items():
        ledger.reserve_exactly(owner, IPv4Network(block))

    def owners(pool: str) -> list[str]:
        return [reservation.owner for reservation in ledger.reserved(IPv4Network(pool))]

    assert owners("100.64.0.0/10") == ["inside", "containing", "other /16"]
    assert owners("100.64.0.0/16") == ["inside", "containing"]
    assert owners("100.64.16.0/20") == ["inside"]
    assert owners("100.64.96.0/24") == ["containing"]
    assert owners("100.64.128.0/24") == []
    assert owners("0.0.0.0/0") == ["below", "inside", "containing", "other /16"]


def test_reservations_are_read_over_all_pages_of_a_query(ledger: Ledger) -> None:
    # given more than the megabyte that DynamoDB puts on a page
    for number in range(4):
        ledger.reserve(f"inc-{number}", CGNAT, 20, detail={"note": "x" * 380_000})

    assert [reservation.owner for reservation in ledger.reserved(CGNAT)] == ["inc-0", "inc-1", "inc-2", "inc-3"]


# -- releasing -------------------------------------------------------------------------------------


def test_a_released_block_can_be_reserved_again(ledger: Ledger, raw: RawTable) -> None:
    block = ledger.reserve("inc-1", CGNAT, 20)

    assert ledger.release("inc-1")
    assert ledger.reserve("inc-2", CGNAT, 20) == block
    assert raw.blocks_by_owner() == {"inc-2": block}


def test_releasing_twice_or_what_was_never_reserved_does_nothing(ledger: Ledger, raw: RawTable) -> None:
    ledger.reserve("inc-1", CGNAT, 20)
    kept = ledger.reserve("inc-2", CGNAT, 20)
    ledger.release("inc-1")

    assert not ledger.release("inc-1")
    assert not ledger.release("inc-9")
    assert raw.blocks_by_owner() == {"inc-2": kept}


def test_the_larger_block_is_free_once_everything_inside_is_released(ledger: Ledger, raw: RawTable) -> None:
    ledger.reserve("inc-1", SMALL_POOL, 28)
    ledger.reserve("inc-2", SMALL_POOL, 20)
    ledger.release("inc-1")
    with pytest.raises(BlockTaken):
        ledger.reserve_exactly("inc-3", SMALL_POOL)

    ledger.release("inc-2")

    assert raw.items() == []
    assert ledger.reserve_exactly("inc-3", SMALL_POOL) == SMALL_POOL


def test_scopes_are_spaces_of_their_own(ledger: Ledger, raw: RawTable) -> None:
    whole = ledger.reserve("inc-1", CGNAT, 16)
    part = ledger.reserve("inc-2", whole, 20, scope="vpc-1")

    assert part.subnet_of(whole)
    assert [reservation.owner for reservation in ledger.reserved(CGNAT)] == ["inc-1"]
    assert [reservation.owner for reservation in ledger.reserved(whole, scope="vpc-1")] == ["inc-2"]
    assert ledger.release("inc-2")
    assert raw.blocks_by_owner() == {"inc-1": whole}
