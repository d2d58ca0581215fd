"""Any sequence of reservations and releases, with requests and answers lost on the way, against a plain dictionary."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ip_remediator.address_ledger.ledger import BlockTaken, Ledger, PoolExhausted
from ip_remediator.common.errors import ServiceUnavailable
from tests.contract.address_ledger.fault_proxy import LoseAnswer, LoseRequest
from tests.contract.address_ledger.table import RawTable, resource
from tests.support.properties import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.address_ledger.fault_proxy import Fault, FaultProxy

# Two /16s, so that large blocks collide within a few steps.
POOL = IPv4Network("100.64.0.0/15")
OWNERS = st.sampled_from([f"inc-{number}" for number in range(6)])
PREFIXES = st.sampled_from([16, 17, 18, 19, 20, 24, 28])
BLOCKS = PREFIXES.flatmap(
    lambda prefix: st.integers(0, 2 ** (prefix - 15) - 1).map(
        lambda index: IPv4Network((int(POOL.network_address) + (index << 32 - prefix), prefix))
    )
)
FAULTS = st.sampled_from([None, None, None, LoseRequest(), LoseAnswer()])


class LedgerMachine(RuleBasedStateMachine):
    """`held` is what the ledger must hold. A call whose answer is lost took effect; one that never arrived did not."""

    url: ClassVar[str]
    proxy: ClassVar[FaultProxy]

    def __init__(self) -> None:
        super().__init__()
        self.raw = RawTable.create(self.url, f"ledger-{uuid4().hex}")
        table = resource(self.proxy.url, attempts=1).Table(self.raw.table.name)
        self.ledger = Ledger(table, lambda: datetime.now(UTC), pause=lambda _: None)
        self.held: dict[str, IPv4Network] = {}

    @rule(owner=OWNERS, prefix=PREFIXES, taken=st.lists(BLOCKS, max_size=2), fault=FAULTS)
    def reserve(self, owner: str, prefix: int, taken: list[IPv4Network], fault: Fault | None) -> None:
        expected = self.held.get(owner) or lowest_free(prefix, [*taken, *self.held.values()])
        arrived, answer = self.under(fault, lambda: self.ledger.reserve(owner, POOL, prefix, taken))
        assert answer == expected or (fault and answer is None)
        if arrived and expected:
            self.held[owner] = expected

    @rule(owner=OWNERS, block=BLOCKS, fault=FAULTS)
    def reserve_exactly(self, owner: str, block: IPv4Network, fault: Fault | None) -> None:
        vacant = owner not in self.held and not any(other.overlaps(block) for other in self.held.values())
        expected = block if vacant or self.held.get(owner) == block else None
        arrived, answer = self.under(fault, lambda: self.ledger.reserve_exactly(owner, block))
        assert answer == expected or (fault and answer is None)
        if arrived and vacant:
            self.held[owner] = block

    @rule(owner=OWNERS, fault=FAULTS)
    def release(self, owner: str, fault: Fault | None) -> None:
        arrived, answer = self.under(fault, lambda: self.ledger.release(owner))
        assert answer == (owner in self.held) or (fault and answer is None)
        if arrived:
            self.held.pop(owner, None)

    def under(
        self, fault: Fault | None, call: Callable[[], IPv4Network | bool]
    ) -> tuple[bool, IPv4Network | bool | None]:
        """Whether the call's transaction reached DynamoDB, and what the caller learned: None when it got an error."""
        if fault:
            self.proxy.inject("TransactWriteItems", fault)
        try:
            return True, call()
        except (BlockTaken, PoolExhausted):
            return True, None
        except ServiceUnavailable:
            return isinstance(fault, LoseAnswer), None
        finally:
            self.proxy.faults.clear()

    @invariant()
    def the_table_is_whole_and_holds_exactly_that(self) -> None:
        assert self.raw.blocks_by_owner() == self.held

    def teardown(self) -> None:
        for owner in self.held:
            assert self.ledger.release(owner)
        assert self.raw.items() == []
        self.raw.table.delete()


def lowest_free(prefix: int, obstacles: list[IPv4Network]) -> IPv4Network | None:
    candidates = POOL.subnets(new_prefix=prefix)
    return next((block for block in candidates if not any(block.overlaps(other) for other in obstacles)), None)


def test_no_sequence_of_calls_and_losses_breaks_the_ledger(aws_url: str, proxy: FaultProxy) -> None:
    bound = type("LedgerMachineHere", (LedgerMachine,), {"url": aws_url, "proxy": proxy})
    run_state_machine_as_test(
        bound,
        settings=settings(examples(0.5), stateful_step_count=25),
    )
