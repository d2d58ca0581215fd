"""Cases of others' acts whose ends are known: what was mended stays mended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.patience import within

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
CASES = {
    "new-cidr:remediation:verify:0:crd-deleted": "stopped, then rolled back",
    "new-cidr:rollback-evict:cluster.stop_new_enis:0:eniconfig-repointed": "stopped, rolled back once they put it back",
    "extension:remediation:cluster.apply_eni_configs:0:eniconfig-repointed": "restored",
    "extension:remediation:network.associate_cidr:0:variable-reset": "stopped, then rolled back",
    "extension:remediation:cluster.await_rollout:0:subnet-deleted": "stopped, then rolled back",
    "new-cidr:remediation:network.associate_cidr:0:crd-deleted": "restored",
    "new-cidr:remediation:cluster.await_rollout:0:cni-deleted": "stopped, rolled back once they put it back",
}


def test_given_acts_of_others_when_their_cases_run_again_then_each_ends_as_it_did() -> None:
    command = [sys.executable, "-m", "tests.faults.others", "--workers=1", *(f"--case={id_}" for id_ in CASES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within(600), check=False)
    shown = [line.split("  ") for line in done.stdout.splitlines() if " s  " in line]
    ends = {parts[1]: parts[2] for parts in (list(filter(None, line)) for line in shown)}
    assert ends == CASES, (done.stdout[-3000:], done.stderr[-3000:])
    assert done.returncode == 0
