"""Processes that are killed in mid-run and started again, and what must hold whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network
from itertools import combinations

from ip_remediator.address_ledger.ledger import ACCOUNT
from local.stack.processes import Server
from tests.integration.support.lab import Lab
from tests.integration.support.patient import CGNAT, Patient

_TRIED_AGAIN = 4
_FUNCTION = "local/aws/functions/bootstrap.py"


def kill_and_start_again(lab: Lab, *servers: Server) -> None:
    """All are gone at the same time. Until they are back the waits of executions take as long as on AWS, because the
    servers need their time as well."""
    with lab.settings(wait_factor=1 / lab.stack.wait_scale):
        for server in servers:
            server.kill()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Server.start_again, servers))


def kill_functions(lab: Lab) -> int:
    """Ends every process of a function, whatever it does just now; how many there were."""
    aws = lab.stack.servers.running("local.aws").pid
    listed = subprocess.run(["ps", "-eww", "-o", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    functions = [int(pid) for pid, parent, command in rows if int(parent) == aws and _FUNCTION in command]
    for pid in functions:
        os.kill(pid, signal.SIGKILL)
    return len(functions)


@contextmanager
def functions_killed_now_and_then(lab: Lab) -> Iterator[list[int]]:
    """At random moments, as often as a call is tried again; how many processes each time."""
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while len(killed) < _TRIED_AGAIN and not over.wait(random.uniform(0.3, 1.5)):
            killed.append(kill_functions(lab))

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


class Witness:
    """Looks all the time which incident has a VPC's lock while changes are recorded.

    `intruders`: changes that were recorded while another incident had it.
    """

    def __init__(self, lab: Lab, vpc_id: str) -> None:
        self.changes: set[tuple[str, str]] = set()
        self.intruders: list[tuple[str, str]] = []
        self._vpc_id = vpc_id
        # One of its own: boto3's resources are not for several threads.
        self._table = lab._table("IncidentsTableName")

    @contextmanager
    def looking(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self, over: threading.Event) -> None:
        recorded, before = self._read()
        while not over.wait(0.1):
            changes, after = self._read()
            new = changes - recorded
            # The lock may have passed on between two looks.
            self.intruders += [change for change in new if change[0] not in (before, after)]
            self.changes |= new
            recorded, before = changes, after

    def _read(self) -> tuple[set[tuple[str, str]], str | None]:
        """The recorded changes by incident, and who has the lock."""
        items = self._table.scan(ConsistentRead=True)["Items"]
        changes = {(item["pk"].removeprefix("INCIDENT#"), item["sk"]) for item in items if "CHANGE#" in item["sk"]}
        owners = (item["owner"] for item in items if item["pk"] == f"VPC#{self._vpc_id}" and item["sk"] == "LOCK")
        return changes, next(owners, None)


def assert_no_overlap(cluster: Patient) -> None:
    """Of the subnets in the cluster's VPC, and of the blocks that the ledger has reserved."""
    subnets = [IPv4Network(subnet["cidr"]) for subnet in cluster.subnets().values()]
    assert not any(subnet.overlaps(other) for subnet, other in combinations(subnets, 2)), subnets
    for scope in (ACCOUNT, cluster.vpc_id):
        blocks = [reservation.block for reservation in cluster.lab.ledger.reserved(CGNAT, scope=scope)]
        assert not any(block.overlaps(other) for block, other in combinations(blocks, 2)), blocks
