"""What a function imports before its first event: every module makes a cold start longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import within

ROOT = Path(__file__).parents[3]
INGEST = (
    "kubernetes",
    "slack_sdk",
    "aws_lambda_powertools.utilities.parser",
    "aws_lambda_powertools.utilities.batch",
)
# What stands between a click and its acknowledgement.
SLACK = ("pydantic", "slack_sdk", "kubernetes", "ip_remediator.incidents.record")


@pytest.mark.parametrize(("function", "heavy"), [("ingest", INGEST), ("slack", SLACK)])
def test_a_cold_start_does_not_read_what_only_the_work_or_other_functions_need(
    function: str, heavy: tuple[str, ...]
) -> None:
    code = f"import sys, functions.{function}.app; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=within(60))
    assert ran.stdout == "[]\n"
