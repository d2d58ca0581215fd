"""The corpus of snapshots in tests/data/snapshots/<verdict>/, each with what an expert expects beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot

FOLDER = Path(__file__).parents[2] / "data" / "snapshots"


@dataclass(frozen=True)
class Case:
    """`why` is the reasoning behind the expectation; `signals` are causes proven by signals, beside the snapshot.

    `zones` are the verdicts of all zones; `relieved_now` tells of some nodes; `evidence` are words that summary,
    evidence or gaps contain; `plan_exit` is the exit status of `plan`.
    """

    path: Path
    why: str
    verdict: str
    zones: dict[str, str]
    relieved_now: dict[str, bool]
    evidence: tuple[str, ...]
    plan_exit: int
    signals: tuple[Cause, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot.model_validate_json(self.path.read_text())


def cases() -> Iterator[Case]:
    for expected in sorted(FOLDER.glob("*/*.expected.json")):
        document = json.loads(expected.read_text())
        signals = tuple(Cause(word) for word in document.pop("signals", ()))
        path = expected.with_name(expected.name.replace(".expected", ""))
        yield Case(path, **{**document, "evidence": tuple(document["evidence"])}, signals=signals)


CASES = tuple(cases())
