"""What was injected, how often, and what came of it: a table for people, and docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

_PAGE = """# Reliability

`make faults PAGE=1` writes this page. The result of **{done} of {planned} {cases}** is known,
with {violations}. {run} of them were run to their end, {part} for a part of the way. The rules
below show that {shown} cases continue like a case that was run, or like the run without a fault. This took
{minutes:.0f} minutes on {workers} and {seconds:.0f} seconds of processor time.{rate}{sample}

One of 100 cases that a rule shows is run to its end all the same: {checked} of them came to
what the rule says, {wrong} to something else (a violation).

## What is not covered

{unreached}
- The functions, AWS, Kubernetes and Slack ran in one process, on a clock that stands still while they compute. A test
  compares some cases with the whole embedded stack, where each is a process of its own (`make faults WHOLE=1
  CASE=<id>`).
- Two cases count as the same without regard to ids, times, durations, Kubernetes' own counters, and what only people
  read: the text of an error that a fault caused, its class (what counts is whether the state machine tries again, or
  has a name for it), and the list of what could not be read. Once there is a plan, only those facts count that are read
  again (nodes and VPC). How often a step was tried before counts only while a fault lasts. Two faults that last count
  as one where the function's code sees the same error of both; how long a single call waits does not count.
- Two things are not compared: what a function keeps in memory between invocations, and what Slack shows if the fault
  does not concern the function that writes to Slack. Both follow from the tables.
- After a case a rollback, the same run and another rollback are tried. This is done once for each final state of a
  set-up's cases: resources, cluster, reservations, change log, locks, outcome, and the states of pods and ENIs without
  their names. It was done after {standings} cases.
- A call that waits for an answer ends after 16 seconds without one; a connection that is refused is one that ends
  without an answer. What a network does beyond that (half-open connections, wrong answers), and TLS, is not played.
- A function that is killed: no further line of its code runs, and what it held in memory is gone. The start of a
  function is not played again.
- The services' own faults (Step Functions, EventBridge, SQS), which AWS retries by itself.
- Replacements of nodes, approvals by people, the sweep and the watchdog's own calls: their tests are in
  `tests/integration`.
- Races: `tests/integration` and `tests/contract`. In `tests/integration/test_killed.py` the Kubernetes API, the
  cluster's agents, Slack and functions are killed in mid-run and started again.

## How

A remediation and its rollbacks (without and with evictions) are run once and every call is recorded that the
functions make to AWS, to the Kubernetes API and to Slack. Then the run is played again, and at each call the process is
forked for each fault, once, and from that call on for as long as the run lasts. The fork goes on with the fault:

| fault | what happens to the call |
|---|---|
| refused, denied | it has no effect: status 400 or 422, status 403 |
| throttled, unavailable | it has no effect: too many requests, status 5xx |
| cut, slow | it has no effect, the connection ends without an answer: at once, after 16 seconds |
| lost | it takes effect, and the answer is a status 500 |
| killed | it takes effect, and the function is killed before it has the answer |

The set-ups are a new CIDR, an extension of custom networking that is on, subnet discovery, subnets that the operator
keeps for pods, and leaked ENIs.

After each case these are read from outside: the execution has ended; no lock, marker or cordon is held; no ENIConfig
points at a subnet which is gone; no subnet is unrecorded or untagged; no reservations overlap; others' variables of
aws-node and others' subnets are there; no running pod is worse off; there is one message in Slack, and it offers the
rollback where something stands. Then, without the fault, what stands is rolled back, the same run heals, and is
rolled back, and everything is as before.

`make faults CASE=<id>` runs a case again; an id is `<set-up>:<run>:<function>:<service>:<call>:<its
number>:<fault>:<once or lasting>`. `make faults PAIRS=2000` takes pairs of faults, `SHARE=0.1` a tenth of the cases.

## Other people

`make faults OTHERS=1` plays a second sweep. Before each function that the state machines invoke, the process is
forked and somebody else acts once: another field manager changes or deletes an ENIConfig, its label, the CRD,
aws-node or a variable of it; another AWS user changes or deletes the add-on, a subnet of ours, its tags, the CIDR, a
leaked ENI, a node, a node group or the whole cluster, cordons a node, adds a subnet to our CIDR, takes the block, or
uses up the quota of CIDRs. Then the run goes on. Where AWS refuses an act at that moment, the case says so and ends.

Afterwards the same is read from outside as after a fault, and: what the others set stands, or Slack names them, or
the plan was made afterwards and says that it makes it anew; an execution that ends otherwise than without the act
names them in Slack (the field manager, or the caller that CloudTrail has); where Slack says healed, all pods run;
what stands is rolled back, at once or once the others put back what is in the way, and everything but their change is
as before. `SHARE=0.1 SEED=2` takes a sample, `WORLDS=` some set-ups (`new-cidr`, `extension`, `discovery`,
`existing-subnets`, `leaked-enis`, `node-groups`), `CASE=<id>` runs one case again; an id is
`<set-up>:<run>:<step>:<its number>:<act>`. Not covered: two acts in one run, acts in the middle of a function, and
acts after a stop other than putting things back.

## Cases that were not run to their end

| rule | cases |
|---|---|
{rules}

## What came of it

| set-up | cases | known | run | violations |
|---|---|---|---|---|
{worlds}

| set-up | fault | lasts | {states} |
|---|---|---|{dashes}|
{rows}
"""
# Where some were not reached.
_RATE = """ At that rate all {planned}
cases would take two cores {hours:.1f} hours; the first cases of a set-up are the dearest."""


class Rule(StrEnum):
    """By what a case was shown to be the same as another one, or as the run without a fault."""

    BECAME = (
        "it was run until a function began or ended, no other ran, and everything that AWS, Kubernetes, the tables and "
        "the executions hold (Slack too where a fault meets what tells people) was what it is in the run without a "
        "fault, or in another case with the same fault still to come, at such a moment"
    )
    MEETS_NONE = (
        "it was run to such a moment, at which everything was what it is in the run without a fault, or in another "
        "case; that one made no call any more that the lasting fault would meet"
    )
    TOLD = (
        "only the function that tells people was disturbed; it was run until that function answered the same change of "
        "the record in the same way as in the run without a fault, or in another case with the same fault still to "
        "come, and Slack showed the same"
    )
    UNTOLD = (
        "a fault that lasts at the function that tells people: as from an earlier call of the operation on, when the "
        "same messages were there; people are told afterwards, of the record as it is then"
    )
    ASKED_AGAIN = (
        "the AWS SDK asks again by itself and gets the answer: seen of the same fault at another call of the service"
    )
    SAME_ERROR = (
        "another fault gives the function's code the same error at this call (of a write: only that it may have taken "
        "effect): seen of the same fault at another call of the service (AWS), or by the product's own "
        "rule (Kubernetes)"
    )
    KILLED = (
        "killed after a read, as after an earlier read of the same invocation or the write right before it, when "
        "nothing has changed in between"
    )
    EVICTS_LATER = (
        "the rollback without evictions, at a call before the pods' turn: the same case of the rollback with evictions "
        "ended, or became the same as the run without a fault, before anything asked whether pods may be evicted"
    )


_PART_OF_THE_WAY = (Rule.BECAME, Rule.MEETS_NONE, Rule.TOLD)
# What came of a case that became the same as the run without a fault, which heals or is rolled back.
JOINED = "as without the fault"
_STATES = (JOINED, "healed", "restored", "stopped, resumable", "refused before anything was opened", "VIOLATION")


@dataclass(frozen=True)
class Planned:
    """How many cases a set-up has, as a process recorded it. `undisturbed`: what comes of each run without a fault."""

    world: str
    cases: int
    undisturbed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """`came`: what came of the case; `why`: the violation, empty when there is none. `same_as`: the case that shows it,
    by `rule`. `followed`: whether it was tried what follows. `expected`: it was run to its end to check a rule, which
    says that it comes to this outcome, or to that of the case of this id."""

    id: str
    came: str
    why: str
    seconds: float
    same_as: str = ""
    rule: str = ""
    followed: bool = False
    expected: str = ""

    @property
    def world(self) -> str:
        return self.id.partition(":")[0]


@dataclass(frozen=True)
class Sweep:
    """What a run of `make faults` came to. `planned`: cases by set-up. `asked`: what it was to run, in words."""

    results: Sequence[Result]
    planned: Mapping[str, int]
    asked: str
    minutes: float
    workers: int
    pairs: bool = False
    undisturbed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def done(self) -> list[Result]:
        """With what came of a case that is shown by another one; a violation is reported where it was run."""
        by_id = {result.id: result for result in self.results}
        return [self._checked(_resolved(result, by_id), by_id) for result in self.results]

    def _checked(self, result: Result, by_id: Mapping[str, Result]) -> Result:
        """A violation when a case that was run to its end did not come to what a rule says."""
        if not result.expected or result.why:
            return result
        other = by_id.get(result.expected)
        expected = self._word(_resolved(other, by_id)) if other else result.expected
        if self._word(result) == expected:
            return result
        return replace(result, came="VIOLATION", why=f"by a rule like {result.expected}, which comes to {expected}")

    def _word(self, result: Result) -> str:
        """What came of it, in the word of the run without a fault where it became that."""
        world, run = result.id.split(":")[:2]
        return self.undisturbed.get(world, {}).get(run, result.came) if result.came == JOINED else result.came

    @property
    def broken(self) -> list[Result]:
        return [result for result in self.done if result.why]

    def table(self) -> str:
        """For the terminal, violations last."""
        done, broken = self.done, self.broken
        head = f"| set-up | fault | lasts | {' | '.join(_STATES)} |"
        ended = f"{len(done)} of {sum(self.planned.values())} cases, {_run(done)} run, {len(broken)} violations"
        ended += f"; {self.asked}" if self.asked else ""
        rules = [
            f"{count:>7}  {rule}" for rule, count in Counter(result.rule for result in done if result.rule).items()
        ]
        named = [f"{result.id}\n    {result.why}" for result in broken]
        return "\n".join(["", head, *rows(done), "", *rules, "", *_worlds(self), "", ended, *named])

    def document(self, every: Sequence[str]) -> str:
        """docs/reliability.md. `every`: the set-ups that there are."""
        done, broken, planned = self.done, self.broken, sum(self.planned.values())
        seconds = sum(result.seconds for result in done)
        hours = seconds / max(len(done), 1) * planned / 2 / 3600
        counted = Counter(result.rule for result in done if result.rule)
        page = _PAGE.format(
            done=len(done),
            planned=planned,
            cases="pairs of faults" if self.pairs else "cases",
            violations="no violation" if not broken else f"{len(broken)} violations, listed at the end",
            run=sum(not result.rule for result in done),
            part=sum(result.rule in _PART_OF_THE_WAY for result in done),
            shown=sum(bool(result.rule) for result in done),
            checked=sum(bool(result.expected) and not result.why for result in done),
            wrong=sum(bool(result.expected) and bool(result.why) for result in done),
            minutes=self.minutes,
            workers="one core" if self.workers == 1 else f"{self.workers} cores",
            seconds=seconds,
            rate=_RATE.format(planned=planned, hours=hours) if len(done) < planned else "",
            sample=f" It was to run: {self.asked}." if self.asked else "",
            unreached="\n".join(_unreached(self, every)),
            standings=sum(result.followed for result in done),
            rules="\n".join(f"| {rule} | {counted[rule]} |" for rule in Rule),
            worlds="\n".join(_worlds(self)),
            states=" | ".join(_STATES),
            dashes="|".join("---" for _ in _STATES),
            rows="\n".join(rows(done)),
        )
        return page + "".join(f"\n- `{result.id}`: {result.why[:300]}" for result in broken) + ("\n" if broken else "")


def _resolved(result: Result, by_id: Mapping[str, Result]) -> Result:
    """A case that is the same as another one ends as that one did."""
    other, passed = result, {result.id}
    while other.same_as:
        if other.same_as in passed or other.same_as not in by_id:
            return replace(result, came="VIOLATION", why=f"the same as {other.same_as}, whose end is not known")
        passed.add(other.same_as)
        other = by_id[other.same_as]
    return replace(result, came=other.came) if result.same_as else result


def _run(done: Sequence[Result]) -> int:
    """How many were begun, also those that became the same as another one."""
    return sum(result.rule in ("", *_PART_OF_THE_WAY) for result in done)


def _worlds(sweep: Sweep) -> list[str]:
    lines = []
    for world, planned in sweep.planned.items():
        mine = [result for result in sweep.done if result.world == world]
        broken = sum(bool(result.why) for result in mine)
        lines.append(f"| {world} | {planned} | {len(mine)} | {_run(mine)} | {broken} |")
    return lines


def _unreached(sweep: Sweep, every: Sequence[str]) -> list[str]:
    unreached = {
        world: planned - sum(one.world == world for one in sweep.results) for world, planned in sweep.planned.items()
    }
    lines = [f"- {count} cases of {world} were not reached." for world, count in unreached.items() if count > 0]
    missing = [world for world in every if world not in sweep.planned]
    return [*lines, *([f"- No case of {', '.join(missing)} was reached."] if missing else [])]


def _kind(id_: str) -> tuple[str, str, str]:
    """Set-up, fault and how long it lasts; of a pair, both faults."""
    parts = [part.split(":") for part in id_.split("+")]
    return parts[0][0], " and ".join(part[-2] for part in parts), " and ".join(part[-1] for part in parts)


def rows(done: Sequence[Result]) -> list[str]:
    """One line of a Markdown table for each kind of fault."""
    counts = Counter((_kind(result.id), result.came) for result in done)
    kinds = sorted({kind for kind, _ in counts})
    return [
        f"| {' | '.join(kind)} | " + " | ".join(str(counts[kind, state]) for state in _STATES) + " |" for kind in kinds
    ]
