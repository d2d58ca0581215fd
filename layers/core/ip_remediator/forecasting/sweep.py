"""A look at every onboarded cluster: what is free, when it will be full, and which pods already wait.

Threads only read; metrics, history and signals are written by the one that started them. A cluster that fails or
does not answer is counted and logged, and costs the others nothing but the thread that waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import NotFound, PermissionDenied, RequestRefused, Transient
from ip_remediator.forecasting.eks_health import EksHealth
from ip_remediator.forecasting.forecast import Forecast, forecast
from ip_remediator.forecasting.onboarded_clusters import OnboardedClusters
from ip_remediator.forecasting.reads import ClusterObservation, Vpcs, look
from ip_remediator.forecasting.subnet_history import Kept, SubnetHistories
from ip_remediator.forecasting.zone_forecast import Outlook, foretelling, is_news, outlooks, with_forecasts
from ip_remediator.intake.places import NOTED_AGAIN, SubnetClusters
from ip_remediator.intake.queue import SignalQueue
from ip_remediator.observability import logger, measure
from ip_remediator.signals.events import parse_kubernetes_event
from ip_remediator.signals.model import Signal, Source
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.eni_subnets import zone_subnets, zones_of

# As many as a boto3 client keeps connections for.
WORKERS = 10
# A look reads three or four lists; one that takes longer than this is not worth a thread.
CLUSTER_SECONDS = 30.0
# The first look of a container: at most three sweeps were missed, and what is seen twice is counted once.
FIRST_LOOK_BACK = timedelta(minutes=15)
# An event may reach the API server a little after the time that its kubelet wrote into it.
OVERLAP = timedelta(seconds=30)
# AWS keeps the first four addresses of a subnet and the last one.
RESERVED = 5

OpenApi = Callable[[dict[str, Any], float], KubeApi]


@dataclass
class SweepState:
    """What one sweep has learned: of each subnet its history and forecast, of the clusters the signals."""

    now: datetime
    before: dict[str, Kept] = field(default_factory=dict)
    after: dict[str, tuple[Subnet, Kept]] = field(default_factory=dict)
    forecasts: dict[str, Forecast | None] = field(default_factory=dict)
    signals: int = 0
    swept: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass
class Sweeper:
    """One per container: it remembers until when it has seen the events of each cluster."""

    fleet: OnboardedClusters
    ec2: Callable[[], Ec2Reader]
    open_api: OpenApi
    histories: SubnetHistories
    health: EksHealth
    subnet_clusters: SubnetClusters
    queue: SignalQueue
    clock: Clock
    within: timedelta
    subnet_metrics: bool
    _seen_until: dict[str, datetime] = field(default_factory=dict)
    _noted: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def sweep(self, seconds: float) -> dict[str, Any]:
        """Looks at every onboarded cluster within `seconds`: `{"swept", "failed": [names], "signals"}`.

        Raises:
            The errors of `common.errors`: the clusters cannot be listed.
        """
        around = SweepState(self.clock())
        for name, found in self._looks(seconds):
            try:
                looked = found()
                if looked:
                    self._tell(looked, around)
                    self._seen_until[name] = looked.began - OVERLAP
                    around.swept += 1
            except Exception as error:  # whatever it is: the other clusters go on
                self._failed(name, error, around)
        self._keep(around)
        return {"swept": around.swept, "failed": sorted(around.failed), "signals": around.signals}

    def _looks(self, seconds: float) -> Iterator[tuple[str, Callable[[], ClusterObservation | None]]]:
        """Each cluster as soon as its look has ended, at last those that did not end in time."""
        vpcs = Vpcs(self.ec2())
        pool = ThreadPoolExecutor(WORKERS)
        try:
            futures = {pool.submit(self._look, name, vpcs): name for name in self.fleet.names()}
            late = dict(futures)
            try:
                for future in as_completed(futures, timeout=seconds):
                    yield late.pop(future), future.result
            except TimeoutError:
                yield from ((name, _not_in_time(future, seconds)) for future, name in late.items())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, name: str, vpcs: Vpcs) -> ClusterObservation | None:
        described = self.fleet.described(name)
        if described is None:
            return None
        began = self.clock()
        since = self._seen_until.get(name, began - FIRST_LOOK_BACK)
        reader = KubernetesReader(self.open_api(described, CLUSTER_SECONDS))
        observed = look(described, reader, vpcs, began, since)
        return replace(observed, health=self._health(described))

    def _health(self, described: dict[str, Any]) -> tuple[Signal, ...]:
        """What EKS says about the cluster; what cannot be read costs the sweep nothing else."""
        try:
            return self.health.signals(described)
        except (Transient, PermissionDenied, NotFound, RequestRefused) as error:
            logger.warning("EKS health not read", cluster=described["name"], reason=f"{type(error).__name__}: {error}")
            return ()

    def _failed(self, name: str, error: Exception, around: SweepState) -> None:
        around.failed.append(name)
        logger.error("cluster not swept", cluster=name, error=type(error).__name__, reason=str(error)[:500])
        measure({"ClusterName": name}, {"SweepFailures": (1, MetricUnit.Count)})

    def _tell(self, looked: ClusterObservation, around: SweepState) -> None:
        snapshot = looked.snapshot
        next_enis = {subnet.id for zone in zones_of(snapshot) for subnet in zone_subnets(snapshot, zone)}
        used = [subnet for subnet in snapshot.subnets if subnet.id in looked.in_use | next_enis]
        for subnet in used:
            if subnet.id not in around.after:
                self._foretell(subnet, around)
        foretold = list(self._foretold(snapshot, around))
        issues = self.health.news(snapshot.cluster.name, looked.health, around.now)
        signals = [*_failures(looked, around.now), *(signal for _, signal in foretold), *issues]
        self.queue.send(signals)
        for outlook, _ in foretold:  # what the queue refused was not told
            self._note(outlook, around)
        if issues:
            self.health.note(snapshot.cluster.name, issues, around.now)
        around.signals += len(signals)
        self._measure(snapshot, used)
        self._note_subnets(snapshot.cluster.name, {*looked.own_subnets, *(subnet.id for subnet in used)}, around.now)

    def _note_subnets(self, cluster: str, subnets: Iterable[str], now: datetime) -> None:
        """So that a refused call or launch in one of them is known to be the cluster's; a day later once more."""
        due = [subnet for subnet in sorted(subnets) if self._noted.get((cluster, subnet), now) <= now - NOTED_AGAIN]
        due += [subnet for subnet in sorted(subnets) if (cluster, subnet) not in self._noted]
        self.subnet_clusters.note(cluster, due, now)
        self._noted.update({(cluster, subnet): now for subnet in due})

    def _foretell(self, subnet: Subnet, around: SweepState) -> None:
        """The subnet's history with what is free now; clusters that share the subnet share that."""
        kept, free = self.histories.read(subnet), subnet.free or 0
        around.before[subnet.id] = kept
        around.after[subnet.id] = subnet, replace(kept, history=kept.history.observed(around.now, free))
        around.forecasts[subnet.id] = forecast(kept.history, around.now, free)

    def _foretold(self, snapshot: Snapshot, around: SweepState) -> Iterator[tuple[Outlook, Signal]]:
        for outlook in outlooks(with_forecasts(snapshot, around.forecasts, self.within)):
            kept, found = around.before[outlook.last.id], around.forecasts[outlook.last.id]
            if found and is_news(outlook.full_at, around.now, kept.told_at, kept.told_full_at):
                signal = foretelling(snapshot.cluster.name, outlook, found, around.now)
                if isinstance(signal, Signal):
                    yield outlook, signal

    def _note(self, outlook: Outlook, around: SweepState) -> None:
        subnet, kept = around.after[outlook.last.id]
        around.after[subnet.id] = subnet, replace(kept, told_at=around.now, told_full_at=outlook.full_at)

    def _measure(self, snapshot: Snapshot, used: list[Subnet]) -> None:
        if not used:
            return
        leaked = _leaked_addresses(snapshot)
        for subnet in used if self.subnet_metrics else ():
            usable = IPv4Network(subnet.cidr).num_addresses - RESERVED
            measure(
                {"ClusterName": snapshot.cluster.name, "SubnetId": subnet.id, "AvailabilityZone": subnet.zone},
                {
                    "FreeAddresses": (subnet.free or 0, MetricUnit.Count),
                    "FreePrefixes": (subnet.free_prefixes or 0, MetricUnit.Count),
                    "LeakedAddressShare": (round(100 * leaked.get(subnet.id, 0) / usable, 1), MetricUnit.Percent),
                },
            )
        least = min(subnet.free or 0 for subnet in used)
        measure({"ClusterName": snapshot.cluster.name}, {"LeastFreeAddresses": (least, MetricUnit.Count)})

    def _keep(self, around: SweepState) -> None:
        """Last, and only what changed: a forecast that was told twice is a lesser evil than one never told."""
        for id_, (subnet, kept) in around.after.items():
            if kept != around.before[id_]:
                self.histories.write(subnet, kept)


def _not_in_time(future: Future[ClusterObservation | None], seconds: float) -> Callable[[], ClusterObservation | None]:
    def result() -> ClusterObservation | None:
        if future.done() and not future.cancelled():
            return future.result()
        raise TimeoutError(f"no answer within the sweep's {seconds:.0f} s")

    return result


def _failures(looked: ClusterObservation, now: datetime) -> list[Signal]:
    """The newest events of pods that wait, as signals of the sweep."""
    name = looked.snapshot.cluster.name
    read = (parse_kubernetes_event(event, cluster=name, received_at=now) for event in looked.failures)
    return [signal.model_copy(update={"source": Source.SWEEP}) for signal in read if isinstance(signal, Signal)]


def _leaked_addresses(snapshot: Snapshot) -> Mapping[str, int]:
    held: dict[str, int] = {}
    for eni in snapshot.leaked_interfaces:
        held[eni.subnet_id] = held.get(eni.subnet_id, 0) + eni.addresses
    return held
