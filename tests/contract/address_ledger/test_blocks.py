"""The block of an incident: from the ledger's pools, or what a VPC IPAM pool would give next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pytest

from ip_remediator.address_ledger.allocate import PREVIEWS, Blocks
from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.cidr import free_blocks
from ip_remediator.common.errors import RequestRefused
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.planning.model import BlockRequirement
from ip_remediator.planning.preconditions import CannotPlan
from tests.unit.support.records import incident

POOL = IPv4Network("100.64.0.0/16")
ONE, TWO = incident(id="prod-one"), incident(id="prod-two")


@dataclass
class Pool:
    """An IPAM pool, as AWS previews it: the first block that is not disallowed."""

    asked: list[set[IPv4Network]] = field(default_factory=list)

    def preview(self, pool: str, prefix: int, disallowed: Iterable[IPv4Network] = ()) -> IPv4Network:
        self.asked.append(set(disallowed))
        result = next(free_blocks(POOL, self.asked[-1], prefix), None)
        if result is None:
            raise RequestRefused(f"{pool} has no /{prefix}")
        return result


def needed(**fields: Any) -> BlockRequirement:
    defaults: dict[str, Any] = {
        "strategy": "custom-networking",
        "source": "new-cidr",
        "pools": ("100.64.0.0/16",),
        "prefix": 22,
        "subnet_prefix": 24,
        "zones": ("a",),
    }
    return BlockRequirement(**(defaults | fields))


OF_IPAM = needed(source="ipam-pool", pools=(), ipam_pool="ipam-pool-1", excluded={"100.64.0.0/22": "peer"})


def test_given_a_plan_that_needs_no_block_then_one_that_was_held_is_given_back(ledger: Ledger) -> None:
    blocks = Blocks(ledger)
    assert blocks.take(ONE, "vpc-1", needed(), exactly=False) == IPv4Network("100.64.0.0/22")
    for source in ("none", "existing-subnets"):
        assert blocks.take(ONE, "vpc-1", needed(source=source), exactly=False) is None
        assert ledger.reservation_of(ONE.id) is None


def test_given_the_same_need_again_then_the_same_block_and_for_another_size_another(ledger: Ledger) -> None:
    blocks = Blocks(ledger)
    first = blocks.take(ONE, "vpc-1", needed(), exactly=False)
    assert blocks.take(ONE, "vpc-1", needed(), exactly=False) == first
    assert blocks.take(ONE, "vpc-1", needed(prefix=20), exactly=False) == IPv4Network("100.64.0.0/20")
    assert blocks.take(ONE, "vpc-1", needed(excluded={"100.64.0.0/18": "peer"}), exactly=False) == IPv4Network(
        "100.64.64.0/22"
    )


def test_given_a_block_that_another_incident_holds_when_asked_for_then_the_field_is_named(ledger: Ledger) -> None:
    blocks = Blocks(ledger)
    asked = needed(pools=("100.64.8.0/22",))
    assert blocks.take(ONE, "vpc-1", asked, exactly=True) == IPv4Network("100.64.8.0/22")
    with pytest.raises(InvalidInput, match=r"^field 'block': "):
        blocks.take(TWO, "vpc-1", asked, exactly=True)


def test_given_pools_of_which_the_first_is_full_then_the_next_is_used_and_in_the_end_all_are_named(
    ledger: Ledger,
) -> None:
    blocks = Blocks(ledger)
    two = needed(pools=("100.64.0.0/22", "100.65.0.0/22"))
    assert blocks.take(ONE, "vpc-1", two, exactly=False) == IPv4Network("100.64.0.0/22")
    assert blocks.take(TWO, "vpc-1", two, exactly=False) == IPv4Network("100.65.0.0/22")
    with pytest.raises(CannotPlan, match=r"100\.64\.0\.0/22.*100\.65\.0\.0/22"):
        blocks.take(incident(id="prod-three"), "vpc-1", two, exactly=False)


def test_given_an_ipam_pool_then_its_next_block_that_keeps_clear_is_reserved_here_too(ledger: Ledger) -> None:
    pool = Pool()
    blocks = Blocks(ledger, pool)  # type: ignore[arg-type]
    assert blocks.take(ONE, "vpc-1", OF_IPAM, exactly=False) == IPv4Network("100.64.4.0/22")
    assert pool.asked == [{IPv4Network("100.64.0.0/22")}]
    reservation = ledger.reservation_of(ONE.id)
    assert reservation is not None
    assert reservation.block == IPv4Network("100.64.4.0/22")


def test_given_an_ipam_pool_when_planned_again_then_the_block_is_the_same(ledger: Ledger) -> None:
    blocks = Blocks(ledger, Pool())  # type: ignore[arg-type]
    assert blocks.take(ONE, "vpc-1", OF_IPAM, exactly=False) == blocks.take(ONE, "vpc-1", OF_IPAM, exactly=False)


def test_given_a_block_that_others_allocated_meanwhile_then_the_next_one_replaces_it(ledger: Ledger) -> None:
    blocks = Blocks(ledger, Pool())  # type: ignore[arg-type]
    blocks.take(ONE, "vpc-1", OF_IPAM, exactly=False)
    gone = OF_IPAM.model_copy(update={"excluded": {"100.64.0.0/21": "CIDR of vpc-2"}})
    assert blocks.take(ONE, "vpc-1", gone, exactly=False) == IPv4Network("100.64.8.0/22")
    assert [reservation.owner for reservation in ledger.reserved(POOL)] == [ONE.id]


def test_given_two_incidents_that_plan_from_one_ipam_pool_then_each_gets_its_own_block(ledger: Ledger) -> None:
    pool = Pool()
    blocks = Blocks(ledger, pool)  # type: ignore[arg-type]
    taken = {blocks.take(item, "vpc-1", OF_IPAM, exactly=False) for item in (ONE, TWO)}
    assert taken == {IPv4Network("100.64.4.0/22"), IPv4Network("100.64.8.0/22")}
    assert len(pool.asked) == 3


def test_given_an_ipam_pool_that_has_nothing_then_the_plan_is_refused_in_its_words(ledger: Ledger) -> None:
    blocks = Blocks(ledger, Pool())  # type: ignore[arg-type]
    full = OF_IPAM.model_copy(update={"excluded": {str(POOL): "peer"}})
    with pytest.raises(CannotPlan, match="IPAM pool ipam-pool-1 gives no /22: ipam-pool-1 has no /22"):
        blocks.take(ONE, "vpc-1", full, exactly=False)


def test_given_an_ipam_pool_whose_next_blocks_are_all_held_then_it_gives_up(ledger: Ledger) -> None:
    for number, block in zip(range(PREVIEWS), free_blocks(POOL, [IPv4Network("100.64.0.0/22")], 22), strict=False):
        ledger.reserve_exactly(f"other-{number}", block)
    with pytest.raises(CannotPlan, match=f"other incidents hold the next {PREVIEWS} blocks"):
        Blocks(ledger, Pool()).take(ONE, "vpc-1", OF_IPAM, exactly=False)  # type: ignore[arg-type]
