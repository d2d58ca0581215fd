"""Cases in one process come to the same end as on the whole stack (tests/integration/test_faults.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.examples import FAST, SLOW
from tests.faults.report import JOINED
from tests.support.patience import within

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
UNDISTURBED = {"remediation": "healed", "rollback": "stopped, resumable", "rollback-evict": "restored"}


def test_given_the_cases_of_the_whole_stack_when_they_run_in_one_process_then_they_end_alike() -> None:
    expected = {**FAST, **SLOW}
    command = [sys.executable, "-m", "tests.faults", "--workers=1", *(f"--case={id_}" for id_ in expected)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within(600), check=False)
    shown = [line.split("  ") for line in done.stdout.splitlines() if " s  " in line]
    outcomes = {line[1]: line[2] for line in (list(filter(None, parts)) for parts in shown) if line[1] in expected}
    outcomes = {id_: outcomes.get(came.removeprefix("as "), came) for id_, came in outcomes.items()}
    # A case that goes on as the run without a fault ends as that run does.
    ends = {id_: UNDISTURBED[id_.split(":")[1]] if came == JOINED else came for id_, came in outcomes.items()}
    assert ends == expected, (done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0
