"""A capture of 5,000 nodes, 15,000 ENIs and 100,000 pods stays within a small function's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.support import large
from tests.support.patience import within

REPOSITORY = Path(__file__).parents[3]
MEBIBYTE = 1024
MOST_KILOBYTES = 256 * MEBIBYTE
MOST_STORED_BYTES = 1_000_000
DEADLINE_SECONDS = 240


@pytest.mark.slow
def test_given_a_large_cluster_when_it_is_diagnosed_then_256_mib_are_enough() -> None:
    # given a cluster whose lists come page by page
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "layers" / "core"))),
        "AWS_DEFAULT_REGION": large.REGION,
        "NO_PROXY": "127.0.0.1",
    }
    with large.large_cluster() as cluster:
        # when a process of its own reads and judges it
        done = subprocess.run(
            [sys.executable, "-m", "tests.contract.support.large_reader", cluster.url],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=within(DEADLINE_SECONDS),
            check=False,
        )
    assert done.returncode == 0, done.stderr
    took = json.loads(done.stdout)
    memory, before = (took[name] / MEBIBYTE for name in ("kilobytes", "kilobytes_before"))
    sys.stderr.write(f"{memory:.0f} MiB ({before:.0f} before) in {took['seconds']} s, {took['stored_bytes']} bytes\n")

    # then everything was read, in bounded memory, and what is stored is small
    assert took["verdict"] == "subnet_exhausted"
    assert (took["nodes"], took["interfaces"]) == (large.NODES, large.NODES * large.ENIS_PER_NODE)
    assert (took["stuck_pods"], took["security_groups"]) == (large.STUCK, large.GROUPS)
    assert took["unread"] == []
    assert took["kilobytes"] < MOST_KILOBYTES
    assert took["stored_bytes"] < MOST_STORED_BYTES
