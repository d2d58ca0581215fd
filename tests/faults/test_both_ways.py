"""The same cases in one process and on the whole stack come to the same end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.report import JOINED
from tests.support.patience import within

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
CASES = (
    "new-cidr:remediation:NetworkFunction:ec2:CreateSubnet:0:refused:lasting",
    "new-cidr:remediation:ClusterFunction:kubernetes:list_eniconfigs:0:killed:once",
    "new-cidr:remediation:VerifyFunction:kubernetes:list_pods:0:unavailable:lasting",
    "new-cidr:rollback-evict:NetworkFunction:ec2:DeleteSubnet:0:lost:once",
)
UNDISTURBED = {"remediation": "healed", "rollback": "stopped, resumable", "rollback-evict": "restored"}


def outcomes(*options: str) -> dict[str, str]:
    """Id of a case -> what came of it. A case that goes on as the run without a fault ends as that run does."""
    command = [sys.executable, "-m", "tests.faults", *options, *(f"--case={case}" for case in CASES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within(900), check=False)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    lines = [(line, case) for line in done.stdout.splitlines() for case in CASES if f"  {case}" in line]
    ended = {case: line.strip().partition("  ")[0] for line, case in lines}
    return {case: UNDISTURBED[case.split(":")[1]] if came == JOINED else came for case, came in ended.items()}


def test_given_the_same_cases_when_they_run_in_one_process_and_on_the_whole_stack_then_they_end_alike() -> None:
    inside, outside = outcomes(), outcomes("--whole")
    assert inside.keys() == set(CASES)
    assert inside == outside
