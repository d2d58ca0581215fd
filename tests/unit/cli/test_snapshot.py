"""`ip-remediator snapshot`: the document on one output, what could not be read on the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from ip_remediator.snapshot.model import Snapshot
from tests.unit.cli.conftest import SHORTAGE, Run

UNREAD = ("NAT gateways: describe_nat_gateways: UnauthorizedOperation: no", "quotas: no answer")


@pytest.fixture(autouse=True)
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a capture gave, without the APIs that it asks (tests/contract/snapshot has those)."""
    snapshot = Snapshot.model_validate({**SHORTAGE, "unread": UNREAD})
    monkeypatch.setattr("ip_remediator_cli.commands.snapshot.read", lambda _aws, _cluster: snapshot)


def test_given_something_unread_then_it_is_told_beside_the_document(run: Run) -> None:
    ran = run("snapshot", "--cluster", "shop")
    assert ran.status == 0
    assert ran.err.splitlines() == [f"not read: {line}" for line in UNREAD]
    assert ran.json["unread"] == list(UNREAD)


def test_given_a_file_then_the_document_is_there_and_can_be_diagnosed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    ran = run("snapshot", "--cluster", "shop", "--output", str(file))
    assert (ran.status, ran.out) == (0, "")
    assert run("diagnose", "--snapshot", str(file), "--json").json["verdict"] == "subnet_exhausted"


def test_given_a_file_that_cannot_be_written_then_the_error_names_option_and_remedy(run: Run, tmp_path: Path) -> None:
    ran = run("snapshot", "--cluster", "shop", "--output", str(tmp_path / "nowhere" / "snapshot.json"))
    assert ran.status == 2
    assert "--output: " in ran.err
    assert "name a file in one of your folders" in ran.err
