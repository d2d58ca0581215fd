"""The sweep over every onboarded cluster: free addresses, forecasts, and pods that already wait.

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
from ip_remediator.forecasting.zone_forecast import (
    ZoneForecast,
    forecast_signal,
    is_news,
    with_forecasts,
    zone_forecasts,
)
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
    """The state of one sweep: each subnet's history and forecast, and counters."""

    now: datetime
    before: dict[str, Kept] = field(default_factory=dict)
    after: dict[str, tuple[Subnet, Kept]] = field(default_factory=dict)
    forecasts: dict[str, Forecast | None] = field(default_factory=dict)
    signals: int = 0
    swept: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass
class Sweeper:
    """One per container: it remembers the time up to which it has read each cluster's events."""

    clusters: OnboardedClusters
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
        state = SweepState(self.clock())
        for name, result in self._looks(seconds):
            try:
                observation = result()
                if observation:
                    self._report(observation, state)
                    self._seen_until[name] = observation.began - OVERLAP
                    state.swept += 1
            except Exception as error:  # any error: the other clusters go on
                self._failed(name, error, state)
        self._keep(state)
        return {"swept": state.swept, "failed": sorted(state.failed), "signals": state.signals}

    def _looks(self, seconds: float) -> Iterator[tuple[str, Callable[[], ClusterObservation | None]]]:
        """Each cluster as soon as its observation is complete; at the end those that did not answer in time."""
        vpcs = Vpcs(self.ec2())
        pool = ThreadPoolExecutor(WORKERS)
        try:
            futures = {pool.submit(self._look, name, vpcs): name for name in self.clusters.names()}
            late = dict(futures)
            try:
                for future in as_completed(futures, timeout=seconds):
                    yield late.pop(future), future.result
            except TimeoutError:
                yield from ((name, _not_in_time(future, seconds)) for future, name in late.items())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, name: str, vpcs: Vpcs) -> ClusterObservation | None:
        described = self.clusters.described(name)
        if described is None:
            return None
        began = self.clock()
        since = self._seen_until.get(name, began - FIRST_LOOK_BACK)
        reader = KubernetesReader(self.open_api(described, CLUSTER_SECONDS))
        observed = look(described, reader, vpcs, began, since)
        return replace(observed, health=self._health(described))

    def _health(self, described: dict[str, Any]) -> tuple[Signal, ...]:
        """The issues that EKS reports of the cluster. A failed read stops nothing else of the sweep."""
        try:
            return self.health.signals(described)
        except (Transient, PermissionDenied, NotFound, RequestRefused) as error:
            logger.warning("EKS health not read", cluster=described["name"], reason=f"{type(error).__name__}: {error}")
            return ()

    def _failed(self, name: str, error: Exception, state: SweepState) -> None:
        state.failed.append(name)
        logger.error("cluster not swept", cluster=name, error=type(error).__name__, reason=str(error)[:500])
        measure({"ClusterName": name}, {"SweepFailures": (1, MetricUnit.Count)})

    def _report(self, observation: ClusterObservation, state: SweepState) -> None:
        snapshot = observation.snapshot
        next_enis = {subnet.id for zone in zones_of(snapshot) for subnet in zone_subnets(snapshot, zone)}
        subnets = [subnet for subnet in snapshot.subnets if subnet.id in observation.in_use | next_enis]
        for subnet in subnets:
            if subnet.id not in state.after:
                self._forecast_subnet(subnet, state)
        zone_signals = list(self._zone_signals(snapshot, state))
        issues = self.health.news(snapshot.cluster.name, observation.health, state.now)
        signals = [*_failures(observation, state.now), *(signal for _, signal in zone_signals), *issues]
        self.queue.send(signals)
        for zone_forecast, _ in zone_signals:  # what the queue refused was not announced
            self._note(zone_forecast, state)
        if issues:
            self.health.note(snapshot.cluster.name, issues, state.now)
        state.signals += len(signals)
        self._measure(snapshot, subnets)
        self._note_subnets(
            snapshot.cluster.name, {*observation.own_subnets, *(subnet.id for subnet in subnets)}, state.now
        )

    def _note_subnets(self, cluster: str, subnets: Iterable[str], now: datetime) -> None:
        """Records the cluster's subnets once a day, so that a refused call or launch in one is assigned to the
        cluster."""
        due = [subnet for subnet in sorted(subnets) if self._noted.get((cluster, subnet), now) <= now - NOTED_AGAIN]
        due += [subnet for subnet in sorted(subnets) if (cluster, subnet) not in self._noted]
        self.subnet_clusters.note(cluster, due, now)
        self._noted.update({(cluster, subnet): now for subnet in due})

    def _forecast_subnet(self, subnet: Subnet, state: SweepState) -> None:
        """The subnet's history with what is free now; clusters that share the subnet share that."""
        kept, free = self.histories.read(subnet), subnet.free or 0
        state.before[subnet.id] = kept
        state.after[subnet.id] = subnet, replace(kept, history=kept.history.observed(state.now, free))
        state.forecasts[subnet.id] = forecast(kept.history, state.now, free)

    def _zone_signals(self, snapshot: Snapshot, state: SweepState) -> Iterator[tuple[ZoneForecast, Signal]]:
        for zone_forecast in zone_forecasts(with_forecasts(snapshot, state.forecasts, self.within)):
            kept, forecast_of_last = state.before[zone_forecast.last.id], state.forecasts[zone_forecast.last.id]
            if forecast_of_last and is_news(
                zone_forecast.full_at, state.now, kept.announced_at, kept.announced_full_at
            ):
                signal = forecast_signal(snapshot.cluster.name, zone_forecast, forecast_of_last, state.now)
                if isinstance(signal, Signal):
                    yield zone_forecast, signal

    def _note(self, zone_forecast: ZoneForecast, state: SweepState) -> None:
        subnet, kept = state.after[zone_forecast.last.id]
        state.after[subnet.id] = subnet, replace(kept, announced_at=state.now, announced_full_at=zone_forecast.full_at)

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

    def _keep(self, state: SweepState) -> None:
        """Stores the histories, at the end, and only those that changed: a forecast that is announced twice does less
        harm than one that is never announced."""
        for id_, (subnet, kept) in state.after.items():
            if kept != state.before[id_]:
                self.histories.write(subnet, kept)


def _not_in_time(future: Future[ClusterObservation | None], seconds: float) -> Callable[[], ClusterObservation | None]:
    def result() -> ClusterObservation | None:
        if future.done() and not future.cancelled():
            return future.result()
        raise TimeoutError(f"no answer within the sweep's {seconds:.0f} s")

    return result


def _failures(observation: ClusterObservation, now: datetime) -> list[Signal]:
    """The newest events of pods that wait, as signals of the sweep."""
    name = observation.snapshot.cluster.name
    outcomes = (parse_kubernetes_event(event, cluster=name, received_at=now) for event in observation.failures)
    return [signal.model_copy(update={"source": Source.SWEEP}) for signal in outcomes if isinstance(signal, Signal)]


def _leaked_addresses(snapshot: Snapshot) -> Mapping[str, int]:
    addresses: dict[str, int] = {}
    for eni in snapshot.leaked_interfaces:
        addresses[eni.subnet_id] = addresses.get(eni.subnet_id, 0) + eni.addresses
    return addresses
