from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.cluster.stack import Stack


@pytest.fixture(params=["embedded", "real"])
def stack(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A Kubernetes API and an AWS API with nothing in them; the simulator is left to the test."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "") if request.param == "real" else ""
    if request.param == "real" and not assets:
        pytest.skip("KUBEBUILDER_ASSETS is not set: no real kube-apiserver to run against")
    stack = Stack(tmp_path)
    for name, value in stack.env.items():
        monkeypatch.setenv(name, value)
    try:
        stack.start_servers(assets)
        yield stack
    finally:
        stack.end_all()
