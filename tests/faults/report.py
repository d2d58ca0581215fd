"""What was injected, how often, and what came of it: a table for people, and docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_PAGE = """# Reliability

`make faults PAGE=1` wrote this page. It ran {done} of {planned} cases (seed {seed}): at each AWS call that a recorded
remediation (new CIDR) and its rollback (with evictions) made, each fault once, and from that call on for as long as
the run lasted. After each case these were read from outside: no lock, marker or cordon held; no ENIConfig that points
at a subnet which is gone; no subnet that the record does not know; no overlapping reservation; no running pod worse
off; one message in Slack. Then, without the fault, what stood was rolled back, the same run healed, and was rolled
back, and everything was as before.

## What is not covered

- Faults of the Kubernetes API, of Slack, and functions that are killed: their tests are those of `tests/integration`.
- Remediations by extension, by subnet discovery, with existing subnets and of leaked ENIs; rollbacks without evictions.
- Pairs of faults, races, and changes of other people in between.
- Of reads, only the first of each kind that a function makes in a run; of writes, the first three.
- Refused connections and time-outs: an HTTP error of the server stands for them.

## What came of it

| fault | lasts | {states} |
|---|---|{dashes}|
{rows}
"""
_STATES = ("healed", "restored", "stopped, resumable", "refused before anything was opened", "VIOLATION")


@dataclass(frozen=True)
class Result:
    """`came`: what came of the case; `why`: the violation, empty when there is none."""

    id: str
    came: str
    why: str
    seconds: float


def rows(found: Sequence[Result]) -> list[str]:
    """One line of a Markdown table for each kind of fault."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for result in found:
        *_, fault, lasts = result.id.split(":")
        counts[fault, lasts, result.came] += 1
    kinds = sorted({(fault, lasts) for fault, lasts, _ in counts})
    return [
        f"| {fault} | {lasts} | " + " | ".join(str(counts[fault, lasts, state]) for state in _STATES) + " |"
        for fault, lasts in kinds
    ]


def table(found: Sequence[Result], planned: int, seed: int) -> str:
    """For the terminal, violations last."""
    head = f"| fault | lasts | {' | '.join(_STATES)} |"
    broken = [f"{result.id}\n    {result.why}" for result in found if result.why]
    ended = f"{len(found)} of {planned} cases, seed {seed}, {len(broken)} violations"
    return "\n".join(["", head, *rows(found), "", ended, *broken])


def document(found: Sequence[Result], planned: int, seed: int) -> str:
    """docs/reliability.md."""
    return _PAGE.format(
        done=len(found),
        planned=planned,
        seed=seed,
        states=" | ".join(_STATES),
        dashes="|".join("---" for _ in _STATES),
        rows="\n".join(rows(found)),
    )
