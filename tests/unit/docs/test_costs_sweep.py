"""The arithmetic of the sweep's month in docs/costs.md is right."""

from __future__ import annotations

import re

import pytest

from benchmarks import cost
from tests.unit.docs.documents import ROOT, rows, sections

SWEEPS = 12 * 730
METRIC, GB_SECOND, REQUEST, READ, WRITE, GB_OF_LOGS = 0.30, 0.0000133334, 2e-7, 0.125e-6, 0.625e-6, 0.50
# As the page assumes: how long one sweep of so many clusters takes.
SECONDS = {1: 3, 100: 15}


def test_the_page_counts_the_sweeps_of_the_templates_default() -> None:
    template = (ROOT / "template.yaml").read_text()
    parameter = template[template.index("  SweepMinutes:\n") :]
    assert parameter.index("Default: 5\n") < parameter.index("AllowedValues")
    assert f"{SWEEPS:,} times a month" in sections((ROOT / "docs" / "costs.md").read_text())["The sweep"]


@pytest.mark.parametrize("clusters", [1, 100])
def test_every_position_of_the_month_is_its_formula(clusters: int) -> None:
    # given the table's column for so many clusters with three subnets each
    subnets = 3 * clusters
    page = sections((ROOT / "docs" / "costs.md").read_text())["The sweep"]
    column = f"{clusters} cluster{'s' if clusters > 1 else ''}, {subnets} subnets"
    documented = {row["a month"]: row[column] for row in rows(page)}

    # then it says what the formulas give
    assert documented == {
        "metrics of subnets and clusters": f"{(3 * subnets + clusters) * METRIC:.2f}",
        "metrics, `SweepMetrics=clusters`": f"{clusters * METRIC:.2f}",
        "Lambda": f"{SWEEPS * (SECONDS[clusters] * GB_SECOND + REQUEST):.2f}",
        "DynamoDB, at most": f"{SWEEPS * subnets * (READ + WRITE):.2f}",
        "logs": f"{SWEEPS * (0.5 * subnets + 0.3 * clusters) / 1e6 * GB_OF_LOGS:.2f}",
    }


def test_an_idle_month_is_the_benchmarks_own_sum() -> None:
    idle = sections((ROOT / "docs" / "costs.md").read_text())["Idle"]
    match = re.search(r"three subnets is \$([\d.]+), and \$([\d.]+) with `SweepMetrics=subnets`", idle)
    assert match
    assert match[1] == f"{cost.total(cost.idle_month(1, 3)):.2f}"
    assert match[2] == f"{cost.total(cost.idle_month(1, 3, subnet_metrics=True)):.2f}"


def test_the_page_and_the_results_of_the_bench_say_the_same_idle_month() -> None:
    # given what `make bench` computes for an idle month
    idle, with_subnets = cost.total(cost.idle_month()), cost.total(cost.idle_month(subnet_metrics=True))

    # then page and results say so, and README's words are about it
    page, results = (ROOT / "docs" / "costs.md").read_text(), (ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert f"three subnets is ${idle:.2f}, and ${with_subnets:.2f} with `SweepMetrics=subnets`" in page
    assert f"| **one idle month** |  | **{idle:.2f}** |" in results
    assert f"SweepMetrics=subnets it is ${with_subnets:.2f} in all" in results
    assert "about a dollar a month for a cluster" in " ".join((ROOT / "README.md").read_text().split())
    assert idle <= 1.0
