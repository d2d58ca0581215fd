"""Functions and layers on disk: servers share one copy of each, which goes when nobody uses it any more."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from local.aws.functions import packages
from tests.stack.aws.conftest import archive


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shared = tmp_path / "code"
    monkeypatch.setenv("LAMBDA_CODE_DIR", str(shared))
    return shared


def test_given_equal_code_when_unpacked_again_then_it_is_the_same_folder_with_its_compiled_modules(folder: Path):
    blob = archive(app="VALUE = 1")
    first = packages.unpack(blob)
    (first / "__pycache__").mkdir()

    assert packages.unpack(blob) == first
    assert (first / "__pycache__").is_dir()
    assert (first / "app.py").read_text() == "VALUE = 1"
    assert packages.unpack(archive(app="VALUE = 2")) != first


def test_given_code_that_nobody_used_for_a_day_when_another_is_unpacked_then_it_is_removed(folder: Path):
    unused, used = packages.unpack(archive(app="VALUE = 1")), packages.unpack(archive(app="VALUE = 2"))
    long_ago = time.time() - packages.UNUSED_SECONDS - 60
    os.utime(unused, (long_ago, long_ago))
    os.utime(used, (long_ago, long_ago))
    packages.unpack(archive(app="VALUE = 2"))

    packages.unpack(archive(app="VALUE = 3"))

    assert not unused.exists()
    assert used.exists()


def test_given_another_server_that_unpacked_the_same_meanwhile_then_its_folder_is_used(folder: Path):
    blob = archive(app="VALUE = 1")
    target = packages.unpack(blob)
    partial = folder / "partial"
    partial.mkdir()
    (partial / "app.py").write_text("VALUE = 1")

    packages._rename(partial, target)

    assert not partial.exists()
    assert (target / "app.py").exists()
