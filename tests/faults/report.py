"""What was injected, how often, and what came of it: a table for people, and docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_PAGE = """# Reliability

`make faults PAGE=1` wrote this page. It ran **{done} of {planned} {cases}**{sample} and found {violations}. They took
{seconds:.0f} seconds of processor time, {each:.2f} for each; all {planned} would take two cores {hours:.1f} hours.

## What is not covered

- What was not run: {left} of {planned} {cases}.{unreached}
- The functions, AWS, Kubernetes and Slack ran in one process, on a clock that stands still while they compute. A test
  compares some cases with the whole embedded stack, where each is a process of its own (`make faults WHOLE=1
  CASE=<id>`).
- One case is known to differ: a function that is killed after its first message to Slack leaves two messages in one
  process, and one on the whole stack. Why is not known yet.
- A case that becomes the same as the run without its fault is not followed further: a function begins, no other runs,
  and everything that AWS, Kubernetes, Slack and the tables hold is then what it was at that point of the run without a
  fault, but for ids and times. How often a step has been tried before is not compared.
- What follows a case (rollback, the same again, rollback) is tried once for each standing that cases of a run leave:
  resources, cluster, reservations, change log, locks, outcome.
- A call that waits for an answer ends after 16 seconds without one; a connection that is refused is one that ends
  without an answer. What a network does beyond that (half-open connections, wrong answers), and TLS, is not played.
- A function that is killed: no further line of its code runs, and what it held in memory is gone. The start of a
  function is not played again.
- The services' own faults (Step Functions, EventBridge, SQS), which AWS retries by itself.
- Replacements of nodes, approvals by people, the sweep and the watchdog's own calls: their tests are in
  `tests/integration`.
- Races, and changes of other people in between: `tests/integration` and `tests/contract`.

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

## What came of it

| set-up | fault | lasts | {states} |
|---|---|---|{dashes}|
{rows}
"""
# What came of a case that became the same as the run without a fault, which heals or is rolled back.
JOINED = "as without the fault"
_STATES = (JOINED, "healed", "restored", "stopped, resumable", "refused before anything was opened", "VIOLATION")


@dataclass(frozen=True)
class Planned:
    """How many cases a set-up has, as a process recorded it."""

    world: str
    cases: int


@dataclass(frozen=True)
class Result:
    """`came`: what came of the case; `why`: the violation, empty when there is none."""

    id: str
    came: str
    why: str
    seconds: float


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


def table(done: Sequence[Result], planned: int, seed: int, unreached: Sequence[str] = ()) -> str:
    """For the terminal, violations last."""
    head = f"| set-up | fault | lasts | {' | '.join(_STATES)} |"
    broken = [f"{result.id}\n    {result.why}" for result in done if result.why]
    ended = f"{len(done)} of {planned} cases, seed {seed}, {len(broken)} violations"
    ended += f"; not asked for: {', '.join(unreached)}" if unreached else ""
    return "\n".join(["", head, *rows(done), "", ended, *broken])


def document(done: Sequence[Result], planned: int, seed: int, pairs: int = 0, unreached: Sequence[str] = ()) -> str:
    """docs/reliability.md."""
    broken = [f"`{result.id}`: {result.why[:300]}" for result in done if result.why]
    seconds = sum(result.seconds for result in done)
    average = seconds / max(len(done), 1)
    page = _PAGE.format(
        done=len(done),
        planned=planned,
        sample=f", taken at random by the seed {seed}," if len(done) < planned else "",
        seconds=seconds,
        each=average,
        hours=average * planned / 2 / 3600,
        cases="pairs of faults" if pairs else "cases",
        left=planned - len(done),
        unreached=f" Not at all: {', '.join(unreached)}." if unreached else "",
        violations="no violation" if not broken else f"{len(broken)} violations, listed at the end",
        states=" | ".join(_STATES),
        dashes="|".join("---" for _ in _STATES),
        rows="\n".join(rows(done)),
    )
    return page + "".join(f"\n- {line}" for line in broken) + ("\n" if broken else "")
