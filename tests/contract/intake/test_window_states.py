"""Signals in any order, late, and delivered again, among incidents that close: the same incidents as by the book.

The book keeps every signal for ever and knows no batches; the real thing is on DynamoDB and forgets what it can.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.repository import Incidents
from ip_remediator.intake.window import SignalWindow
from ip_remediator.signals.correlation import Rules, distinct, should_open_incident
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Signal, Source
from tests.contract.conftest import Clock, briefly, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

RULES = Rules(weak_needed=2, window=timedelta(minutes=10), cool_down=timedelta(minutes=8))


@dataclass
class Page:
    """An incident by the book."""

    id: str
    signals: list[Signal]
    closed_at: datetime | None = None


@dataclass
class Book:
    pages: list[Page] = field(default_factory=list)
    waiting: list[Signal] = field(default_factory=list)

    def quiet_until(self) -> datetime | None:
        closed_at = self.pages[-1].closed_at if self.pages else None
        return closed_at + RULES.cool_down if closed_at else None

    def deliver(self, signals: list[Signal], incident: str | None) -> bool:
        """Whether they open an incident; `incident` is its name."""
        if self.pages and self.pages[-1].closed_at is None:
            self.pages[-1].signals += signals
            return False
        quiet = self.quiet_until()
        late = [signal for signal in signals if quiet and signal.last_seen <= quiet]
        if late:
            self.pages[-1].signals += late
        self.waiting += [
            signal.model_copy(update={"first_seen": max(signal.first_seen, quiet or signal.first_seen)})
            for signal in signals
            if signal not in late
        ]
        if not should_open_incident(distinct(self.waiting), RULES):
            return False
        self.pages.append(Page(str(incident), self.waiting))
        self.waiting = []
        return True


class Cluster(RuleBasedStateMachine):
    def __init__(self, table: Table) -> None:
        super().__init__()
        self.name, self.clock, self.book = unique("prod"), Clock(), Book()
        self.incidents = Incidents(table, self.clock)
        self.window = SignalWindow(table, self.clock, RULES, "eu-west-1", Mode.APPROVE, briefly)
        self.sent: list[Signal] = []
        self.batch: list[Signal] = []

    @rule(
        pod=st.sampled_from(["a/a", "a/b", None]),
        node=st.sampled_from(["n1", "n2"]),
        alarm=st.sampled_from([False, False, True]),
        strong=st.sampled_from([False] * 5 + [True]),
        age=st.integers(0, 30),
        span=st.sampled_from([0, 0, 3]),
    )
    def happen(self, pod: str | None, node: str, alarm: bool, strong: bool, age: int, span: int) -> None:
        """Something is observed; nobody has heard of it yet."""
        last = self.clock.now - timedelta(minutes=age)
        self.sent.append(
            Signal(
                source=Source.ALARM if alarm else Source.KUBERNETES_EVENT,
                cluster=self.name,
                cause=Cause.SUBNET_FULL if strong else Cause.NO_ADDRESS,
                strength=Strength.STRONG if strong else Strength.WEAK,
                node=None if alarm else node,
                pod=None if alarm else pod,
                first_seen=last - timedelta(minutes=span),
                last_seen=last,
                id=f"signal-{len(self.sent)}",
            )
        )
        self.batch.append(self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(number=st.integers(0, 1000))
    def repeat(self, number: int) -> None:
        """An old signal is delivered again."""
        self.batch.append(self.sent[number % len(self.sent)])

    @precondition(lambda self: self.batch)
    @rule(order=st.randoms(use_true_random=False), part=st.integers(1, 6))
    def deliver(self, order: object, part: int) -> None:
        """Some of what is in the air arrives, in any order."""
        order.shuffle(self.batch)  # type: ignore[attr-defined]
        arrived, self.batch = self.batch[:part], self.batch[part:]
        joined = self.window.join(arrived)
        assert self.book.deliver(arrived, joined.incident_id) is joined.opened

    @rule(minutes=st.integers(1, 20))
    def wait(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @precondition(lambda self: self.book.pages and self.book.pages[-1].closed_at is None)
    @rule()
    def close(self) -> None:
        page = self.book.pages[-1]
        self.incidents.close(self.incidents.get(page.id), Outcome.HEALED)
        page.closed_at = self.clock.now

    @invariant()
    def the_open_incident_is_that_of_the_book(self) -> None:
        last = self.book.pages[-1] if self.book.pages else None
        assert self.incidents.open_incident(self.name) == (last.id if last and not last.closed_at else None)

    def teardown(self) -> None:
        for page in self.book.pages:
            result = self.incidents.get(page.id).signals
            assert result.count == len({signal.id for signal in page.signals})
            assert set(result.pods) == {signal.pod for signal in page.signals if signal.pod}
            assert set(result.nodes) == {signal.node for signal in page.signals if signal.node}
            assert result.first_seen == min(signal.first_seen for signal in page.signals)
            last = max(signal.last_seen for signal in page.signals)
            assert result.last_seen is not None
            assert timedelta() <= last - result.last_seen < timedelta(minutes=1)


def test_given_any_interleaving_of_signals_and_closes_then_the_incidents_are_those_of_the_book(table: Table) -> None:
    chosen = settings(stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    run_state_machine_as_test(lambda: Cluster(table), settings=chosen)  # type: ignore[arg-type]
